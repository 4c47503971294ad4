"""Big pastes stand as one chip in the composer's text, such as `[pasted 214 lines · 3.1k tokens]`."""

from __future__ import annotations

import re

from tui.format import plural, roughly, tokens

LINES, CHARACTERS = 8, 2_000
"""A paste of more than either becomes a chip."""


def tidy(text: str) -> str:
    """One kind of line end; terminals paste them as carriage returns."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def big(text: str) -> bool:
    """Whether a paste is worth a chip."""
    return len(text) > CHARACTERS or text.count("\n") + (not text.endswith("\n")) > LINES


class Pastes:
    """Chips by what stands in the text for them; a chip that was deleted can come back by undo."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None

    def add(self, text: str) -> str:
        """The chip for a paste."""
        return self._new(text, "")

    def counted(self, chip: str, count: int, *, estimated: bool = False) -> str:
        """The chip that tells its tokens too; the one without goes on to stand for the same text."""
        return self._new(self._texts[chip], f" · {roughly(estimated)}{tokens(count)} tokens")

    def text(self, chip: str) -> str:
        """What a chip stands for."""
        return self._texts[chip]

    def expand(self, text: str) -> str:
        """The text with every chip opened, in one pass: a chip within a paste is only text."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda chip: self._texts[chip[0]], text)

    def fold(self, text: str) -> str:
        """The text with every paste that is in it as it was put back into its newest chip."""
        known = {pasted: chip for chip, pasted in self._texts.items()}
        for pasted in sorted(known, key=len, reverse=True):
            if pasted in text:
                text = text.replace(pasted, known[pasted])
        return text

    def spans(self, line: str) -> list[tuple[int, int]]:
        """Where chips stand in a line: first column, and the one after the last."""
        if self._pattern is None or "[pasted " not in line:
            return []
        return [match.span() for match in self._pattern.finditer(line)]

    def _new(self, text: str, more: str) -> str:
        count = text.count("\n") + (not text.endswith("\n"))
        what = plural(count, "line") if count > 1 else plural(len(text), "character")
        chip, number = f"[pasted {what}{more}]", 1
        while self._texts.get(chip, text) != text:
            number += 1
            chip = f"[pasted {what}{more} #{number}]"
        self._texts.pop(chip, None)  # the newest goes last: `fold` takes it
        self._texts[chip] = text
        self._pattern = re.compile("|".join(re.escape(each) for each in self._texts))
        return chip
