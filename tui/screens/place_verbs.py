"""Verbs on places: to the engine of another machine and back, and the runs of all of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tui.screens.screen_verbs import ScreenVerbs
from tui.widgets.lines import name

if TYPE_CHECKING:
    from tui.switching import Places


LOOK = 2.0
"""Seconds between two looks at how the places stand."""


class PlaceVerbs(ScreenVerbs):
    """The workbench is one of several, each over its own engine."""

    seated: asyncio.Event
    """Set while this one is the one that is shown."""

    @property
    def places(self) -> Places | None:
        """All that can be opened; None where the screen stands alone."""
        from tui.app import QwillApp

        return self.app.places() if isinstance(self.app, QwillApp) else None

    def action_places(self, argument: str = "") -> None:
        """To the one that is named; alone it lists them."""
        places, wanted = self.places, argument.strip()
        if places is None:
            return
        if wanted:
            self.go_to_place(wanted)
            return
        if len(places.names()) < 2:
            self.say("This machine is the only place. `qwill hosts add NAME user@box` names another.")
            return
        from tui.modals.places import place_picker

        self.app.push_screen(place_picker(places), lambda chosen: self.go_to_place(chosen or ""))

    def action_everywhere(self, argument: str = "") -> None:
        """The runs of all places that are open, to go to one."""
        from tui.modals.places import run_picker

        places = self.places
        if places is None:
            return
        mine = list(self.state.engine.newest_runs())
        if not mine and not places.elsewhere():
            self.say("There is no run yet, here or at another open place.")
            return
        self.app.push_screen(run_picker(places, mine), self._go_to_run)

    def go_to_place(self, wanted: str) -> None:
        """Show another place, with its own chat and draft."""
        places = self.places
        if places is None or not wanted:
            return

        async def go() -> None:
            if not await places.go(wanted):
                self.say(f"There is no place called {name(wanted)}. /places lists them.", grave=True)

        self.app.run_worker(go())

    def _go_to_run(self, chosen: str | None) -> None:
        place, _, run = (chosen or "").partition("/")
        places = self.places
        if places is None or not run:
            return

        async def go() -> None:
            if await places.go(place):
                places.seats[place].workbench.run_command("runs", run)

        self.app.run_worker(go())

    # --- in the left pane -------------------------------------------------------------------

    def wake_places(self) -> None:
        """List the places, if there is another one, and look at them now and then."""
        from tui import hosts

        if self.state.engine.host or hosts.known():
            self.look_at_places()
            self.set_interval(LOOK, self.look_at_places)

    def look_at_places(self) -> None:
        """How they stand now."""
        places = self.places
        if places is not None and self.seated.is_set():
            self.side.show_places(places.placed())

    # --- being one of several ---------------------------------------------------------------

    def step_back(self) -> None:
        """Another place is shown: keep up with the engine, and draw nothing."""
        self.seated.clear()

    def come_forward(self) -> None:
        """Draw what has happened meanwhile."""
        self.seated.set()
        self.look_at_places()
        if not self.composer.has_focus:
            self.composer.focus()
