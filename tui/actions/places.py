"""Places: this machine and the hosts whose engines one works on."""

from __future__ import annotations

from tui.actions.kinds import Action, Where

ACTIONS: tuple[Action, ...] = (
    Action(
        "places",
        "Places",
        "Switches the workbench to the engine of another machine, or back; each keeps its chat and draft.",
        "Screen",
        slash="places",
        takes="[NAME]",
    ),
    Action(
        "everywhere",
        "Runs everywhere",
        "Lists the runs of every place that is open, with where they are; Enter goes there.",
        "Training",
        slash="everywhere",
    ),
    Action(
        "runs_everywhere",
        "Runs everywhere",
        "Lists the runs of every place that is open, with where they are; Enter goes there.",
        "Training",
        Where.RUNS,
        ("W",),
        palette=False,
    ),
)
