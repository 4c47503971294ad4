"""The thin rule under the header, with a joint where a pane's rule meets it."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget

from tui.widgets.lines import line


class Rule(Widget):
    """One line over two panes: the right edge of `left` and the left edge of `right` are rules too."""

    DEFAULT_CSS = """
    Rule {
        height: 1;
        background: $background;
    }
    """

    def __init__(self, left: Widget, right: Widget) -> None:
        super().__init__()
        self._left = left
        self._right = right

    def render(self) -> Content:
        """`────┬────┬────`."""
        marks = ["─"] * self.size.width
        edges = []
        if self._left.display and self._left.region.y > self.region.y:
            edges.append(self._left.region.right - 1)
        if self._right.display and self._right.region.y > self.region.y:
            edges.append(self._right.region.x)
        for edge in edges:
            if 0 <= edge < len(marks):
                marks[edge] = "┬"
        return line(("".join(marks), "$rule"))
