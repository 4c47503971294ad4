"""Lists on the memory screen: whose memory is shown, and which loaded model is let go."""

from __future__ import annotations

from collections.abc import Sequence

from engine.api import runs, specs
from tui.format import clock, size
from tui.modals.picker import Choice, Picker
from tui.widgets.lines import line, name
from tui.widgets.run_lines import MARKS

ENGINE = "-"
"""The choice that is no run."""


class TrackPicker(Picker):
    """Dismisses with a run's id, or with ENGINE."""

    def __init__(self, title: str, found: Sequence[runs.RunInfo], *, engine: bool) -> None:
        choices = [_run(run) for run in found]
        if engine:
            words = ("all since it started", "$thought")
            choices.insert(0, Choice(ENGINE, line(("the engine", "bold")), line(words), "the engine now"))
        super().__init__(title, choices, placeholder="Type to filter", empty="No run has a record.")


class LoadedPicker(Picker):
    """Dismisses with a model's id."""

    def __init__(self, found: Sequence[specs.ModelInfo]) -> None:
        choices = [
            Choice(each.id, line((name(each.name), "bold")), line((size(each.memory), "$thought")), each.name)
            for each in found
        ]
        super().__init__("Unload", choices, placeholder="Type to filter", empty="No such model is loaded.")


def _run(run: runs.RunInfo) -> Choice:
    mark, style = MARKS[run.state]
    how = " ".join(word for word in (run.spec.method, run.spec.quant) if word)
    told = [f"peak {size(run.peak)}"] if run.peak else []
    right = " · ".join([*told, clock(run.created)])
    left = line((mark, style), " ", (name(run.name), "bold"), (f"  {how}", "$thought"))
    return Choice(run.id, left, line((right, "$thought")), f"{run.name} {how} {' '.join(run.tags)}")
