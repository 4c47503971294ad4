"""The screens over the workbench."""

from __future__ import annotations

from tui.actions.kinds import Action, Moment, Where

ACTIONS: tuple[Action, ...] = (
    Action(
        "leave_layer",
        "Back to the workbench",
        "Leaves and changes nothing.",
        "Screen",
        Where.LAYER,
        ("escape",),
        hint="back",
        moments=(
            *(Moment.TRAIN, Moment.RUNS, Moment.BROWSER, Moment.FILTERING),
            *(Moment.MARKED, Moment.COMPARE, Moment.INSPECTOR),
            *(Moment.DATA, Moment.MASK, Moment.PAIRS),
            *(Moment.CATALOGUE, Moment.SERVERS, Moment.SERVED, Moment.HUB, Moment.MODEL_PAGE),
        ),
        palette=False,
    ),
    Action(
        "layer_help",
        "Help",
        "Shows every key and command.",
        "Screen",
        Where.LAYER,
        ("f1",),
        palette=False,
    ),
    Action(
        "layer_models",
        "Models",
        "Goes to the models.",
        "Models",
        Where.LAYER,
        ("f2",),
        palette=False,
    ),
    Action(
        "layer_restart",
        "Start the engine again",
        "Starts the engine, or the link to it, again.",
        "Screen",
        Where.LAYER,
        ("f9",),
        palette=False,
    ),
    Action(
        "layer_runs",
        "Runs",
        "Goes to the runs.",
        "Training",
        Where.LAYER,
        ("f3",),
        palette=False,
    ),
    Action(
        "layer_train",
        "Train",
        "Goes to the form.",
        "Training",
        Where.LAYER,
        ("f4",),
        palette=False,
    ),
    Action(
        "layer_adapter",
        "Adapter on or off",
        "Switches the newest adapter that fits on or off in the chat.",
        "Training",
        Where.LAYER,
        ("f8",),
        palette=False,
    ),
    Action(
        "model_look",
        "Look again",
        "Reads the model folders and the Hugging Face cache again.",
        "Models",
        Where.BROWSER,
        ("r",),
        hint="look",
        moments=(Moment.BROWSER,),
        palette=False,
    ),
)
