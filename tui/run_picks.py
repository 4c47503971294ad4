"""What is looked at in the runs screen: which runs, in what order, and how their curves are drawn. Pure."""

from __future__ import annotations

import msgspec

from engine.api import runs
from tui.glyphs import Range
from tui.overlay import AXES, Axis
from tui.run_filter import Filter, parse
from tui.run_values import ordered

SMOOTHING = (0.0, 0.6, 0.9, 0.97)
"""Weights that `s` goes through."""


class Picks(msgspec.Struct):
    """Survives the screen, so that coming back shows the same."""

    chosen: dict[str, int] = msgspec.field(default_factory=dict)
    """Selected runs, the first one first; each with the number of its letter, which stays its own."""
    words: str = ""
    """The filter as typed."""
    filter: Filter = msgspec.field(default_factory=lambda: parse(""))
    sort: str = ""
    """A key of `run_values`; "" is those under way first, then the newest."""
    down: bool = False
    metric: str = "loss"
    axis: Axis | None = None
    """None: time for one run, steps for several."""
    smooth: float = 0.0
    log: bool = False
    window: Range = (0.0, 1.0)
    """Shares of the whole axis that are shown."""
    cross: float | None = None
    """Where the crosshair stands, in units of the axis."""

    def shown(self, found: list[runs.RunInfo]) -> list[runs.RunInfo]:
        """The rows of the table."""
        kept = self.filter.keep(found)
        return ordered(kept, self.sort, down=self.down) if self.sort else kept

    def narrow(self, words: str) -> None:
        """Another filter."""
        self.words, self.filter = words, parse(words)

    def toggle(self, run: str) -> None:
        """Select a run or let it go; its letter is the first that is free."""
        if run in self.chosen:
            del self.chosen[run]
            return
        taken = set(self.chosen.values())
        self.chosen[run] = next(number for number in range(len(taken) + 1) if number not in taken)

    def take(self, several: list[str]) -> bool:
        """Select all of these, or let all go when they are selected; True when they are now."""
        fresh = [run for run in several if run not in self.chosen]
        for run in fresh or several:
            self.toggle(run)
        return bool(fresh)

    def forget(self, there: dict[str, runs.RunInfo]) -> None:
        """Let go of runs that are not there any more."""
        for run in [run for run in self.chosen if run not in there]:
            del self.chosen[run]

    def drawn(self, here: runs.RunInfo | None, there: dict[str, runs.RunInfo]) -> list[runs.RunInfo]:
        """The runs whose curves are drawn: the selected ones, else the one under the cursor."""
        found = [there[run] for run in self.chosen if run in there]
        return found or ([here] if here is not None else [])

    def axis_of(self, count: int) -> Axis:
        """The x axis when this many runs are drawn."""
        return self.axis or ("step" if count > 1 else "time")

    def next_axis(self, count: int) -> Axis:
        """Go on to the next axis; zoom and crosshair belonged to the old one."""
        at = AXES.index(self.axis_of(count))
        self.axis = AXES[(at + 1) % len(AXES)]
        self.window, self.cross = (0.0, 1.0), None
        return self.axis

    def next_smoothing(self) -> float:
        """Go on to the next weight."""
        self.smooth = SMOOTHING[(SMOOTHING.index(self.smooth) + 1) % len(SMOOTHING)]
        return self.smooth
