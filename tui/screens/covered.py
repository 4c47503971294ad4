"""A screen that rests while another one covers it."""

from __future__ import annotations

from textual.screen import Screen


class Covered(Screen[None]):
    """Paints when it is seen.

    Textual counts the screen under the topmost one as seen even where nothing of it shows, and has the
    whole terminal painted anew whenever something changes down there: once a second, with the monitor.
    """

    @property
    def is_current(self) -> bool:
        """Whether it is on top, or under nothing but a dialog."""
        if not super().is_current:  # there may be no screen any more, which this one finds out
            return False
        top = self.app.screen
        return top is self or top.is_modal
