"""What one does with an adapter beside switching it."""

from __future__ import annotations

from tui.actions.kinds import Action, Moment, Where

ACTIONS: tuple[Action, ...] = (
    Action(
        "heavier",
        "More of the adapter",
        "Lets the active adapter count more, up to ×2. `/adapter NAME 0.8` sets a weight.",
        "Training",
    ),
    Action(
        "lighter",
        "Less of the adapter",
        "Lets the active adapter count less, down to ×0, which is the model alone.",
        "Training",
    ),
    Action(
        "prove_adapter",
        "Is the adapter active?",
        "Asks with and without it, and tells where the two part.",
        "Training",
        slash="prove",
        takes="[NAME]",
    ),
    Action(
        "export_adapter",
        "Export the adapter",
        "Writes it, or its model with it merged in, for other programs, and compares the two.",
        "Training",
        slash="export_adapter",
        takes="[NAME]",
    ),
    Action(
        "weigh_more",
        "More of the adapter",
        "Lets the active adapter count more.",
        "Training",
        Where.SIDE,
        ("plus", "right"),
        hint="weight",
        moments=(Moment.ADAPTERS,),
        palette=False,
    ),
    Action(
        "weigh_less",
        "Less of the adapter",
        "Lets the active adapter count less.",
        "Training",
        Where.SIDE,
        ("minus", "left"),
        palette=False,
    ),
    Action(
        "beside_row",
        "Add beside the active one",
        "Lets the adapter under the cursor answer together with those that are active, their changes added "
        "up; takes it off again where it does.",
        "Training",
        Where.SIDE,
        ("a",),
        hint="add beside",
        moments=(Moment.ADAPTERS,),
        palette=False,
    ),
    Action(
        "prove_row",
        "Is it active?",
        "Proves the adapter under the cursor.",
        "Training",
        Where.SIDE,
        ("p",),
        hint="prove",
        moments=(Moment.ADAPTERS,),
        palette=False,
    ),
    Action(
        "export_row",
        "Export",
        "Exports the adapter under the cursor.",
        "Training",
        Where.SIDE,
        ("x",),
        hint="export",
        moments=(Moment.ADAPTERS,),
        palette=False,
    ),
)
