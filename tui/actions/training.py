"""Runs and adapters from the workbench."""

from __future__ import annotations

from tui.actions.kinds import Action, Moment

ACTIONS: tuple[Action, ...] = (
    Action(
        "runs",
        "Runs",
        "Shows all runs, with their charts.",
        "Training",
        keys=("f3",),
        slash="runs",
        takes="[RUN]",
        hint="runs",
        moments=(Moment.COMPOSER, Moment.RUN_ROWS),
    ),
    Action(
        "train",
        "Train an adapter",
        "Opens a form that is filled in already; Ctrl+S starts.",
        "Training",
        keys=("f4",),
        slash="train",
        takes="[DATA]",
        hint="train",
        moments=(Moment.COMPOSER, Moment.ADAPTERS, Moment.RUN_ROWS),
    ),
    Action(
        "bake",
        "Bake the system prompt",
        "Answers questions under this chat's system prompt, then opens the form to train an adapter that "
        "behaves so without it. `/bake 80` asks 80 questions.",
        "Training",
        slash="bake",
        takes="[COUNT]",
    ),
    Action(
        "toggle_adapter",
        "Adapter on or off",
        "Answers with the newest adapter that fits the model, or with the model alone again. `/adapter NAME` "
        "takes that one, `/adapter NAME 0.8` at that weight, `/adapter off` none; "
        "`/adapter NAME 0.8 + OTHER 0.5` takes both together, `/adapter + OTHER` adds one.",
        "Training",
        keys=("f8",),
        slash="adapter",
        takes="[NAME] [W]",
        hint="adapter",
        moments=(Moment.COMPOSER, Moment.ADAPTERS),
    ),
    Action(
        "undo_start",
        "Take a start back",
        "For ten seconds after a run was started: stops it and deletes it.",
        "Training",
        keys=("ctrl+z",),
        priority=True,
        palette=False,
    ),
)
