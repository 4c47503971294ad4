"""Races: started from the train form, and their table in the runs screen."""

from __future__ import annotations

from tui.actions.kinds import Action, Moment, Where


def _key(name: str, label: str, help_: str, where: Where, *keys: str) -> Action:
    return Action(name, label, help_, "Training", where, keys, palette=False)


ACTIONS: tuple[Action, ...] = (
    Action(
        "race",
        "Race methods or settings",
        "Trains the same data in several variations that take turns, stops the losers, and shows a table in "
        "the end. `/race method=lora,dora r=8,16 seeds=2` fills in the line.",
        "Training",
        slash="race",
        takes="[KEY=VALUES]",
    ),
    Action(
        "race_runs",
        "Race",
        "Trains the form's run in several variations that take turns, or queues them: one line says what is "
        "varied, such as `r=8,16,32 lr=1e-4..4e-4/3 seeds=3`.",
        "Training",
        Where.TRAIN,
        ("alt+r",),
        hint="race",
        moments=(Moment.TRAIN,),
        priority=True,
        palette=False,
    ),
    _key(
        "race_table",
        "Table of its race",
        "Shows what came of the race or sweep that the run belongs to: quality and its spread, time, memory.",
        Where.RUNS,
        "T",
    ),
    _key("race_copy", "Copy the table", "Copies it as Markdown, CSV or LaTeX.", Where.RACE, "y"),
    _key("race_pause", "Pause, go on", "Pauses every member, or lets them go on.", Where.RACE, "p"),
    _key("race_stop", "Stop the race", "Ends every member, and keeps the adapters.", Where.RACE, "S"),
)
