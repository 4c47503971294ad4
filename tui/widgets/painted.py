"""A widget that paints itself line by line, and sends only the lines that changed to the terminal."""

from __future__ import annotations

from itertools import zip_longest

from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget

from tui.widgets.lines import stack


class Painted(Widget):
    """Subclasses say what stands on each line; `redraw` after the state changed."""

    _shown: tuple[Content, ...] = ()

    def lines(self, width: int, height: int) -> list[Content]:
        """One Content a line, none wider than `width`."""
        raise NotImplementedError

    def render(self) -> Content:
        """All lines."""
        shown = self.lines(*self.size)
        self._shown = tuple(shown)
        return stack(shown)

    def redraw(self) -> None:
        """Paint the lines that are not as they were."""
        width, height = self.size
        if not width or not height:
            return
        lines = self.lines(width, height)
        pairs = zip_longest(self._shown, lines, fillvalue=Content(""))
        changed = [y for y, (old, new) in enumerate(pairs) if y < height and not old.is_same(new)]
        if changed:
            self.refresh(*(Region(0, y, width, 1) for y in changed))
