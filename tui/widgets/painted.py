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
    _drawn_for: tuple[int, int] | None = None
    """The size for which `redraw` has made `_shown`, until it is painted."""

    def lines(self, width: int, height: int) -> list[Content]:
        """One Content a line, none wider than `width`."""
        raise NotImplementedError

    def render(self) -> Content:
        """All lines."""
        if self._drawn_for != tuple(self.size):
            self._shown = tuple(self.lines(*self.size))
        # What `redraw` compared is what must be painted, though the state may have moved on meanwhile.
        self._drawn_for = None
        return stack(list(self._shown))

    def redraw(self) -> None:
        """Paint the lines that are not as they were."""
        width, height = self.size
        if not width or not height:
            return
        lines = self.lines(width, height)
        pairs = zip_longest(self._shown, lines, fillvalue=Content(""))
        changed = [y for y, (old, new) in enumerate(pairs) if y < height and not old.is_same(new)]
        if changed:
            self._shown, self._drawn_for = tuple(lines), (width, height)
            self.refresh(*(Region(0, y, width, 1) for y in changed))
