"""Lists of places, and of the runs at all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.api import runs
from tui.format import seconds
from tui.modals.picker import Choice, Picker
from tui.widgets.lines import line, name
from tui.widgets.run_lines import MARKS

if TYPE_CHECKING:
    from tui.switching import Places

SHOWN, OTHER = "●", "○"
ROWS = 200
"""Runs in the list at most."""
PLACE = 10
"""Columns of a place's name."""


def place_picker(places: Places) -> Picker:
    """Dismisses with the name of a place."""
    return Picker(
        "Places",
        [_place(places, each, address) for each, address in places.names().items()],
        placeholder="Type a few letters",
        empty="No place matches.",
    )


def run_picker(places: Places, mine: Sequence[runs.RunInfo]) -> Picker:
    """The runs of every open place, what is under way first; dismisses with `PLACE/RUN`."""
    found = [(places.shown, run) for run in mine] + [(each.place, each.run) for each in places.elsewhere()]
    found.sort(key=lambda each: (each[1].state in runs.ENDED_STATES, -each[1].created))
    return Picker(
        "Runs everywhere",
        [_run(place, run) for place, run in found[:ROWS]],
        placeholder="Type a few letters",
        empty="No run matches.",
    )


def standing(run: runs.RunInfo) -> str:
    """`▶ 214/600  loss 1.820  24 min left`, as far as it is known."""
    parts = [f"{run.step}/{run.steps}" if run.steps else run.state]
    parts += [f"loss {run.loss:.3f}"] if run.loss is not None else []
    parts += [f"{seconds(run.eta_s)} left"] if run.eta_s is not None and run.state == "running" else []
    return "  ".join(parts)


def _place(places: Places, each: str, address: str) -> Choice:
    mark = SHOWN if each == places.shown else OTHER
    shown = f" {name(address)}" if address and address != each else ""
    left = line((f"{mark} ", "$accent"), (name(each), "bold"), (shown, "$thought"))
    return Choice(each, left, line((places.standing(each), "$thought")), f"{each} {address}")


def _run(place: str, run: runs.RunInfo) -> Choice:
    mark, style = MARKS[run.state]
    where = f"{name(place)[:PLACE]:<{PLACE}} "
    left = line((where, "$thought"), (f"{mark} ", style), (name(run.name), "bold"))
    right = line((standing(run), "$thought"))
    return Choice(f"{place}/{run.id}", left, right, f"{place} {run.name} {run.id} {run.state}")
