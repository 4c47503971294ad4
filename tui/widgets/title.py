"""The first two lines of a screen over the workbench: what it is, and a thin rule."""

from __future__ import annotations

from textual.content import Content

from tui.widgets.lines import line, spread
from tui.widgets.painted import Painted


class Title(Painted):
    """A title, and a few words to its right where there is room."""

    DEFAULT_CSS = """
    Title {
        height: 2;
        background: $background;
    }
    """

    def __init__(self, title: str, words: str = "") -> None:
        super().__init__()
        self._title, self._words = title, words

    def say(self, words: str) -> None:
        """Other words to the right."""
        self._words = words
        self.redraw()

    def lines(self, width: int, height: int) -> list[Content]:
        """The title, and the rule."""
        left = line(" ", ("Qwill", "bold $accent"), "   ", (self._title, "bold"))
        right = line((f"{self._words} ", "$thought"))
        if left.cell_length + right.cell_length + 3 > width:
            right = line("")
        return [spread(left, right, width), line(("─" * width, "$rule"))]
