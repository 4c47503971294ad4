"""A screen on which what is typed comes before what grows."""

from __future__ import annotations

import time

from textual.geometry import Size
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget

from tui import environment
from tui.driver import TerminalDriver

BREATH = 0.015
"""Seconds between the layout of a frame and its painting, in which a key finds its way to the composer."""
ON_THE_WAY = 0.1
"""Seconds for which a painting waits for a key that has come and is not shown; some show nothing."""


class TypedFirst(Screen[None]):
    """Over a network, where each echo is late anyway, a key waits for half a frame at most.

    The layout of a long reply and its painting take 50 ms of CPU time each. Textual does both at once; here
    the painting follows a breath later, and what was typed in the meantime is painted before it.
    """

    _laying_out = False
    _painting: Timer | None = None
    _shown = 0.0
    """When a key was last shown, by the monotonic clock."""

    def show_typed(self, field: Widget) -> None:
        """Paint a field at once; all else that waits is painted a breath later."""
        if not self.is_current or self.app._batch_count:
            return
        compositor = self._compositor
        compositor.update_widgets(self._dirty_widgets)
        waiting, compositor._dirty_regions = compositor._dirty_regions, {field.region}
        super()._compositor_refresh()
        self._shown = time.monotonic()
        compositor._dirty_regions |= waiting
        if waiting:
            self._paint_soon()

    def _refresh_layout(self, size: Size | None = None, scroll: bool = False) -> None:
        self._laying_out = environment.REMOTE and size is None
        try:
            super()._refresh_layout(size, scroll)
        finally:
            self._laying_out = False

    def _compositor_refresh(self) -> None:
        if self._laying_out:
            self._paint_soon()
        else:
            super()._compositor_refresh()

    def _paint_soon(self) -> None:
        if self._painting is None:
            self._painting = self.set_timer(BREATH, self._paint)

    def _paint(self) -> None:
        self._painting = None
        if self._key_on_the_way() or self.app._batch_count:
            self._paint_soon()
        elif self.is_current:
            self._compositor.update_widgets(self._dirty_widgets)  # those that were changed since the layout
            super()._compositor_refresh()

    def _key_on_the_way(self) -> bool:
        driver = self.app._driver
        typed = driver.typed if isinstance(driver, TerminalDriver) else 0.0
        return typed > self._shown and time.monotonic() - typed < ON_THE_WAY
