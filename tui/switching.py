"""The workbenches of several places: each has its own engine, link, chat and draft; one of them is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from engine.api import runs
from tui import hosts
from tui.dialling import Dial
from tui.format import plural
from tui.places import HERE
from tui.state import EngineState
from tui.widgets.side_pane import Placed

if TYPE_CHECKING:
    from tui.app import QwillApp
    from tui.link import Wire
    from tui.screens.chat import Workbench


class Seat(NamedTuple):
    """One place that was opened."""

    workbench: Workbench
    dial: Callable[[], Awaitable[Wire]]


class Where(NamedTuple):
    """A run and the place that it is at."""

    place: str
    run: runs.RunInfo


class Places:
    """`here` and the hosts, by name. Used by the app alone."""

    def __init__(self, app: QwillApp, workbench: Workbench, dial: Callable[[], Awaitable[Wire]]) -> None:
        """The place that the program was opened on."""
        self._app = app
        self.shown = workbench.state.engine.host or HERE
        self.seats = {self.shown: Seat(workbench, dial)}
        self.reach: Callable[[str], Callable[[], Awaitable[Wire]]] = lambda address: Dial(host=address)
        """How an engine is reached that was not opened yet, by its address; empty is this machine's."""
        app.install_screen(workbench, f"place-{self.shown}")

    def names(self) -> dict[str, str]:
        """Address by name: this machine, the hosts of hosts.toml, and those that were opened otherwise."""
        opened = {name: _address(seat) for name, seat in self.seats.items()}
        return {HERE: "", **hosts.known(), **opened}

    def standing(self, name: str) -> str:
        """How a place stands, in a few words."""
        seat = self.seats.get(name)
        if seat is None:
            return "not opened yet"
        engine = seat.workbench.state.engine
        words = {"open": "connected", "lost": "out of reach", "connecting": "connecting …"}[engine.link]
        going = sum(run.state not in runs.ENDED_STATES for run in engine.runs.values())
        return f"{words} · {plural(going, 'run')} under way" if going else words

    def placed(self) -> tuple[Placed, ...]:
        """The same of all of them, for the left pane."""
        return tuple(self._placed(name) for name in self.names())

    def _placed(self, name: str) -> Placed:
        seat = self.seats.get(name)
        if seat is None:
            return Placed(name, "", "closed")
        engine = seat.workbench.state.engine
        going = sum(run.state not in runs.ENDED_STATES for run in engine.runs.values())
        words = "out of reach" if engine.link == "lost" else plural(going, "run") if going else ""
        if name == self.shown:
            return Placed(name, words, "shown")
        return Placed(name, words, "lost" if engine.link == "lost" else "open")

    def workbenches(self) -> Iterator[Workbench]:
        """All that were opened."""
        return (seat.workbench for seat in self.seats.values())

    def others(self) -> dict[str, EngineState]:
        """What is known of the places that are not shown."""
        return {name: seat.workbench.state.engine for name, seat in self.seats.items() if name != self.shown}

    def elsewhere(self) -> list[Where]:
        """The runs of those places: what waits or trains first, then the newest."""
        found = [Where(name, run) for name, engine in self.others().items() for run in engine.runs.values()]
        found.sort(key=lambda each: (each.run.state in runs.ENDED_STATES, -each.run.created))
        return found

    async def go(self, name: str) -> bool:
        """Show this place; what lies on top of the workbench is closed. False for a name that is none."""
        known = self.names()
        if name not in known:
            return False
        if name == self.shown:
            return True
        left = self.seats[self.shown].workbench
        await left.keep_before_leaving()
        seat = self.seats.get(name) or self._open(name, known[name])
        await self._clear()
        left.step_back()
        self.shown = name
        self._app.take_workbench(seat.workbench, seat.dial)  # before it is seen: keys are for it then
        if self._app.screen is not seat.workbench:  # the first one is always the undermost
            await self._app.push_screen(seat.workbench)
        seat.workbench.come_forward()
        return True

    async def _clear(self) -> None:
        """Close what lies on top of the first workbench; what was opened this moment is let come first."""
        while len(self._app.screen_stack) > 1:
            if self._app.screen.is_mounted:
                await self._app.pop_screen()
            else:
                await asyncio.sleep(0.01)

    def _open(self, name: str, address: str) -> Seat:
        from tui.screens.chat import Workbench

        dial = self.reach(address)
        seat = Seat(Workbench(dial, host="" if name == HERE else name), dial)
        self.seats[name] = seat
        self._app.install_screen(seat.workbench, f"place-{name}")
        return seat


def _address(seat: Seat) -> str:
    return seat.dial.host if isinstance(seat.dial, Dial) else ""
