"""What could have stood in a token's place, each with its share as a bar."""

from __future__ import annotations

from textual.content import Content

from engine.api import commands
from tui.inspection import Walk, visible
from tui.widgets.lines import line
from tui.widgets.painted import Painted

ROWS = 8
"""Alternatives shown at most, what stands there included."""
WORD = 20
"""Columns of an alternative's text."""
BAR = 48
"""Columns of a bar at most."""
NARROW = 60
"""Columns below which words are shortened."""
_EIGHTHS = " ▏▎▍▌▋▊▉"
_PARTS = {"thinking": "in the thought", "answer": "in the answer"}


class TokenChoices(Painted):
    """A rule that tells the token, and its alternatives under it."""

    DEFAULT_CSS = """
    TokenChoices {
        height: 9;
    }
    """

    def __init__(self, walk: Walk) -> None:
        super().__init__()
        self._walk = walk

    def lines(self, width: int, height: int) -> list[Content]:
        """The rule, then one alternative a line."""
        fact = self._walk.fact
        if fact is None:
            return [line(("─" * width, "$rule"))]
        options = self._walk.options()
        room = min(ROWS, height - 1)
        first = max(0, min(self._walk.choice - room + 1, len(options) - room))
        shown = range(first, min(len(options), first + room))
        return [self._head(fact, width), *(self._option(options[row], row, fact, width) for row in shown)]

    def _head(self, fact: commands.TokenFact, width: int) -> Content:
        where = f" token {self._walk.at + 1:,} of {self._walk.total:,} · {_PARTS[fact.part]} "
        likely, bits = share(fact.probability), f"{fact.entropy:.1f} bits"
        even = 2**fact.entropy
        like = f"like {even:.0f} even choices" if even >= 1.5 else "next to no doubt"
        rights = (f" {likely} likely · entropy {bits}, {like} ", f" {likely} likely · entropy {bits} ")
        right = next((each for each in rights if len(where) + len(each) + 6 <= width), "")
        if not right:
            where, right = f" {self._walk.at + 1:,}/{self._walk.total:,} ", f" {likely} · {bits} "
        filling = "─" * max(0, width - 4 - len(where) - len(right))
        return line(("──", "$rule"), (where, "bold"), (filling, "$rule"), right, ("──", "$rule"))

    def _option(
        self, option: commands.Alternative, row: int, fact: commands.TokenFact, width: int
    ) -> Content:
        here = row == self._walk.choice
        taken = option.id == fact.id
        long, mark = (WORD, "  stands there") if width >= NARROW else (WORD - 8, "  ←")
        numbers = 8 + len(mark)
        word = Content(visible(option.text)).truncate(long, ellipsis=True)
        word = word.pad_right(long - word.cell_length)
        if here:
            word = word.stylize("bold $block-cursor-foreground on $block-cursor-background")
        elif taken:
            word = word.stylize("bold")
        room = max(0, min(BAR, width - 6 - long - numbers))
        return line(
            ("   ▸ " if here else "     ", "bold $accent"),
            word,
            " ",
            (bar(option.probability, room).ljust(room), "$accent"),
            f"{share(option.probability):>8}",
            (mark if taken else "", "$thought"),
        )


def share(probability: float) -> str:
    """`70 %`, `2.1 %`, `0.03 %`; below that the sign of it."""
    percent = probability * 100
    if percent >= 9.95:
        return f"{percent:.0f} %" if percent < 99.5 or percent > 99.95 else f"{percent:.1f} %"
    if percent >= 0.095:
        return f"{percent:.1f} %"
    return f"{percent:.2f} %" if percent >= 0.005 else "< 0.01 %"


def bar(fraction: float, width: int) -> str:
    """A bar of whole and eighth cells; anything above nothing shows."""
    eighths = round(min(1.0, max(0.0, fraction)) * width * 8)
    if fraction > 0 and width:
        eighths = max(1, eighths)
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest] if rest else "")
