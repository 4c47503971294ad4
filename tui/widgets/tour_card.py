"""The card of the tour: two or three lines above the composer, on what to press and what to look at."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType
from textual.message import Message
from textual.widgets import Static

from tui.actions import Where
from tui.bindings import bindings
from tui.widgets.lines import line, stack

Said = tuple[str, bool]
"""A piece of what is said, and whether it is a key."""

SMALL = 16
"""Lines of a terminal below which the words alone are shown."""
HINT = "   Esc hides · /tour next skips"


class TourCard(Static, can_focus=True):
    """Hidden until the tour is on. Tab reaches it; its letters work there alone."""

    DEFAULT_CSS = """
    TourCard {
        display: none;
        height: auto;
        max-height: 6;
        padding: 0 2;
        background: $surface;
    }
    TourCard:focus {
        background: $accent 15%;
    }
    TourCard.-small {
        max-height: 4;
        padding: 0 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.TOUR)

    class Asked(Message):
        """A key on the card: `skip` or `hide`."""

        def __init__(self, verb: str) -> None:
            super().__init__()
            self.verb = verb

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self.shown: tuple[str, str, str] = ("", "", "")

    @property
    def on_screen(self) -> bool:
        """Whether the card is shown."""
        return bool(self.display)

    def say(self, place: str, title: str, pieces: tuple[Said, ...]) -> None:
        """Show a stage: `2 of 6`, the step's title, and what to do."""
        words = "".join(text for text, _ in pieces)
        self.display = True
        if (place, title, words) == self.shown:
            return
        self.shown = (place, title, words)
        small = self.app.size.height < SMALL
        self.set_class(small, "-small")
        text = line(*[(said, "$accent" if key else "$foreground") for said, key in pieces])
        head = line((f"Tour {place}  ", "$thought"), (title, "bold $accent"), (HINT, "$thought"))
        self.update(text if small else stack([head, text]))

    def hide(self) -> None:
        """Take the card off the screen."""
        self.display = False

    def action_tour_skip(self) -> None:
        self.post_message(self.Asked("skip"))

    def action_tour_hide(self) -> None:
        self.post_message(self.Asked("hide"))
