"""A scrolled column that follows its end, or holds the line that one reads, whatever grows above it.

`tui.follow` decides; Textual's anchor carries it out while following. While paused the place is held by
content: the block at the top of the screen keeps its row within the same layout in which others moved.
"""

from __future__ import annotations

from bisect import bisect_right

from textual.containers import VerticalScroll
from textual.geometry import NULL_REGION, Offset, Region, Size, Spacing
from textual.layout import DockArrangeResult, Layout
from textual.layouts.stream import StreamLayout
from textual.scrollbar import ScrollBar
from textual.widget import Widget

from tui import environment
from tui.follow import TOLERANCE, Follow

JUMP = 4
"""Rows by which it scrolls over a network: each scrolling is a frame of kilobytes, which keys wait for."""
DEPTH = 3
"""Levels of widgets that are looked through for the one at the top: a message, its part, a block."""

Spot = tuple[tuple[Widget, ...], int]
"""A widget, by the way down to it, and how many rows the top of the screen lies below its first one."""


class Follower(VerticalScroll):
    """Upward input pauses; the end (nearly), or `follow`, resumes."""

    def __init__(self) -> None:
        super().__init__()
        self._follow = Follow()
        self._spots: list[Spot] = []
        """Where the reader is while paused, the most exact first."""
        self._held_row = 0.0
        self._arranged: DockArrangeResult | None = None
        self._rows = 0
        self._uncounted = False
        """Whether the next change of the height is no news: widgets that go or come back."""

    @property
    def following(self) -> bool:
        """Whether it stays at the newest line."""
        return self._follow.following

    @property
    def unseen(self) -> int:
        """Lines that came below while the reader was further up."""
        return self._follow.unseen

    @property
    def whole(self) -> bool:
        """Whether the end of what is mounted is the end of all there is."""
        return True

    @property
    def grows(self) -> bool:
        """Whether more is on its way."""
        return False

    def pause(self) -> None:
        """Stay where the reader is."""
        if self.following:
            self._follow.up()
            self._held()

    def resume(self) -> None:
        """Go to the end and stay there."""
        self._follow.end()
        self._spots = []
        self.anchor()

    def stand_at(self, way: tuple[Widget, ...], offset: int) -> None:
        """Read on at this row of a widget, from the next layout on."""
        self._follow.new_chat(reading=True)
        self.anchor(False)
        self._spots, self._held_row = [(way, offset)], self.scroll_y
        self._uncounted = True
        self.refresh(layout=True)

    def release_anchor(self) -> None:
        """Textual calls it before each scrolling, up or down; which one it was, `watch_scroll_y` sees."""
        if self.scroll_y < 0:
            self.set_reactive(Widget.scroll_y, 0)  # a short chat's anchor counts from the bottom
        self.scroll_target_y = self.scroll_y

    @property
    def scroll_offset(self) -> Offset:
        """An anchored chat that is shorter than the screen starts at the top, not at the bottom."""
        x, y = super().scroll_offset
        return Offset(max(0, x), max(0, y))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """The reader's own movement; a layout moves the row without coming by here."""
        super().watch_scroll_y(old_value, new_value)
        was = self.following
        clamped = new_value < old_value and new_value >= self.max_scroll_y
        if not clamped:
            self._follow.scrolled(old_value, new_value, self.max_scroll_y, whole=self.whole)
        if self.following and not was:
            self.resume()
        elif not self.following:
            self._held()

    def near_end(self) -> bool:
        """Whether the end is within the tolerance."""
        return self.whole and self.scroll_y >= self.max_scroll_y - TOLERANCE

    def region_of(self, widget: Widget) -> Region:
        """Where a widget of this column lay in the last layout; nowhere if it was not in it."""
        placements = self._arranged.placements if self._arranged else ()
        return next((each.region for each in placements if each.widget is widget), NULL_REGION)

    def pre_layout(self, layout: Layout) -> None:
        """Have the stream layout place all widgets anew.

        Textual 8.2.8 keeps placements while a widget that it does not place (the scrollbar, one that was
        removed) asks for a layout, and so loses the new height of a message. Heights are cached below it.
        """
        if isinstance(layout, StreamLayout):
            layout._cached_placements = None

    # --- holding ----------------------------------------------------------------------------

    def arrange(self, size: Size, optimal: bool = False) -> DockArrangeResult:
        """The layout; while paused it also says which row the reader's line has now."""
        result = super().arrange(size, optimal)
        if result is self._arranged or optimal or not size.width:
            return result
        if environment.REMOTE and self.following and self.grows:
            _jump(result, size.height)
        self._arranged, before = result, self._rows
        self._rows = result.total_region.bottom
        if not self.following:
            self._keep_place(result, self._rows - before, size.height)
        self._uncounted = False
        return result

    def _keep_place(self, result: DockArrangeResult, grown: int, height: int) -> None:
        shift = 0
        for way, offset in self._spots:
            top = _row_of(way, result)
            if top is not None:
                shift = top + offset - round(self._held_row)
                break
        moved = self._follow.grew(above=shift, below=0 if self._uncounted else grown - shift)
        if not moved:
            return
        row = max(0, min(round(self._held_row) + moved, self._rows - height))
        self._held_row = row
        self.set_reactive(Widget.scroll_y, row)
        self.set_reactive(Widget.scroll_target_y, row)
        self.vertical_scrollbar.set_reactive(ScrollBar.position, row)

    def _held(self) -> None:
        """Remember what stands at the top of the screen."""
        self.anchor(False)
        self._held_row = self.scroll_y
        self._spots = _spots(self._arranged, max(0, round(self.scroll_y))) if self._arranged else []


def _jump(result: DockArrangeResult, height: int) -> None:
    """Leave room below for the next rows, so that they come without a scrolling."""
    bottom = result.total_region.bottom
    if bottom > height:
        last = result.placements[-1]
        room = last.margin.grow_maximum(Spacing(0, 0, last.margin.bottom + -bottom % JUMP, 0))
        result.placements[-1] = last._replace(margin=room)
        result._spatial_map = None


def _spots(result: DockArrangeResult, row: int) -> list[Spot]:
    """The widgets at a row, the innermost first, and at last the one above, for the case that they go."""
    found: list[Spot] = []
    way: tuple[Widget, ...] = ()
    base, level = 0, result
    for _ in range(DEPTH):
        placements = sorted(level.placements, key=lambda each: each.region.y)
        at = bisect_right([each.region.y for each in placements], row - base) - 1
        if at < 0:
            break
        widget, region = placements[at].widget, placements[at].region
        if not way and at > 0:
            above = placements[at - 1]
            found.append(((above.widget,), row - above.region.y))
        way, base = (*way, widget), base + region.y
        found.insert(0, (way, row - base))
        if not widget.displayed_children:
            break
        level = _inside(widget, region.width)
        base += widget.gutter.top
    return found


def _row_of(way: tuple[Widget, ...], result: DockArrangeResult) -> int | None:
    """The first row of a widget in a layout; None where it is not in it any more."""
    row, level = 0, result
    for depth, widget in enumerate(way):
        placement = next((each for each in level.placements if each.widget is widget), None)
        if placement is None:
            return None
        row += placement.region.y
        if depth + 1 < len(way):
            row += widget.gutter.top
            level = _inside(widget, placement.region.width)
    return row


def _inside(widget: Widget, width: int) -> DockArrangeResult:
    """How a widget of this width arranges its own; as a rule its layout has just done so."""
    return widget.arrange(Size(width - widget.gutter.width, 0))
