"""The files that go with the next message, in one line above the composer."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from tui.format import roughly, size, tokens
from tui.widgets.lines import line, name
from tui.widgets.painted import Painted

File = tuple[str, int, int | str | None]
"""Name, bytes, and tokens once they are counted; of an image its size in words."""


class Attachments(Painted):
    """Names with their tokens, and the sum; hidden while there are none."""

    DEFAULT_CSS = """
    Attachments {
        display: none;
        height: 1;
    }
    Attachments.-shown {
        display: block;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._files: list[File] = []
        self._about = ""
        self.armed = False
        """Whether the next Backspace takes the newest one away."""

    def show(self, files: Sequence[File], *, armed: bool = False, estimated: bool = False) -> None:
        """Show these files; `estimated`: whether their tokens are guesses."""
        self._about = roughly(estimated)
        self._files, self.armed = list(files), armed and bool(files)
        self.set_class(bool(files), "-shown")
        self.refresh(layout=True)

    def lines(self, width: int, height: int) -> list[Content]:
        """One line; the oldest files give way where it is narrow, the newest and the sum stay."""
        if not self._files:
            return []
        total = self._total()
        chips: list[Content] = []
        room = width - total.cell_length
        for at, file in reversed(list(enumerate(self._files))):
            most = max(12, width - total.cell_length - 24)
            chip = _chip(file, most, self._about, grave=self.armed and not chips)
            left = line((f"+{at} more  ", "$thought")) if at else line("")
            if chips and chip.cell_length + left.cell_length > room:
                chips.append(line((f"+{at + 1} more  ", "$thought")))
                break
            chips.append(chip)
            room -= chip.cell_length
        row = line("")
        for chip in reversed(chips):
            row += chip
        return [(row + total).truncate(width, ellipsis=True)]

    def _total(self) -> Content:
        texts = [(held, count) for _, held, count in self._files if not isinstance(count, str)]
        counts = [count for _, count in texts]
        if len(texts) < 2:
            return line("")
        if all(count is not None for count in counts):
            words = f"{self._about}{tokens(sum(count or 0 for count in counts))} tokens"
        else:
            words = size(sum(held for held, _ in texts))
        return line((f"= {words}", "$thought"))


def _chip(file: File, most: int, about: str, *, grave: bool) -> Content:
    shown, held, count = file
    words = count if isinstance(count, str) else size(held)
    if isinstance(count, int):
        words = f"{about}{tokens(count)} tokens"
    style = "$warning reverse" if grave else "$accent"
    title = line((f"@{name(shown)}", style)).truncate(most, ellipsis=True)
    return title + line(" ", (words, "$thought"), "   ")
