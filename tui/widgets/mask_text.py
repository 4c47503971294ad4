"""One row of a dataset as a run sees it: what is learnt stands on a ground of its own and between marks."""

from __future__ import annotations

from textual.content import Content

from engine.api import commands
from tui.mask_lines import Piece, lay_out
from tui.widgets.lines import line
from tui.widgets.painted import Painted


class MaskText(Painted, can_focus=True):
    """Scrolls by lines."""

    DEFAULT_CSS = """
    MaskText {
        height: 1fr;
        padding: 1 2 0 2;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._tokens: tuple[commands.MaskToken, ...] = ()
        self._laid: list[tuple[Piece, ...]] = []
        self._width = -1
        self._top = 0

    def show(self, tokens: tuple[commands.MaskToken, ...]) -> None:
        """Another row, from its top."""
        self._tokens, self._width, self._top = tokens, -1, 0
        self.redraw()

    def scroll_lines(self, by: int) -> None:
        """So many lines further."""
        self._top = max(0, min(self._top + by, len(self._laid) - self.size.height + 1))
        self.redraw()

    def below(self) -> int:
        """Lines under the last one in sight."""
        return max(0, len(self._laid) - self._top - self.size.height)

    def lines(self, width: int, height: int) -> list[Content]:
        """The lines in sight; the last one tells how many follow."""
        if self._width != width:
            self._laid, self._width = lay_out(self._tokens, width), width
        drawn = [_drawn(each) for each in self._laid[self._top : self._top + height]]
        if self.below() and len(drawn) == height and height > 1:
            drawn[-1] = line((f"↓ {self.below() + 1:,} more lines", "$thought"))
        return drawn


def _drawn(pieces: tuple[Piece, ...]) -> Content:
    return line(*((each.text, _style(each)) for each in pieces))


def _style(piece: Piece) -> str:
    if piece.mark:
        return "$accent"
    return "$foreground on $accent 25%" if piece.labelled else "$thought"
