"""What one does with models from the workbench."""

from __future__ import annotations

from tui.actions.kinds import Action, Moment

ACTIONS: tuple[Action, ...] = (
    Action(
        "pick_model",
        "Switch model",
        "Lists the models; Enter loads one and uses it in this chat.",
        "Models",
        keys=("ctrl+l",),
        slash="model",
        takes="[NAME]",
    ),
    Action(
        "show_models",
        "Models",
        "Shows all models: what each one is, what it needs, and whether it fits.",
        "Models",
        keys=("f2",),
        slash="models",
        hint="models",
        moments=(Moment.COMPOSER,),
    ),
    Action(
        "unload_model",
        "Unload the model",
        "Frees the memory of the model this chat uses.",
        "Models",
        slash="unload",
    ),
    Action(
        "refresh_models",
        "Look for models again",
        "Reads the model folders and the Hugging Face cache again.",
        "Models",
        slash="refresh",
    ),
    Action(
        "add_folder",
        "Add a model folder",
        "Looks for models in this folder too, now and at later starts.",
        "Models",
        slash="folder",
        takes="PATH",
    ),
    Action(
        "endpoint",
        "Add a server",
        "Names a server that answers in place of this machine (vLLM, Ollama, any that speaks OpenAI's API), "
        "and asks it what it has.",
        "Models",
        slash="endpoint",
        takes="[ADDRESS]",
    ),
    Action(
        "serve",
        "Serve to other programs",
        "Lets editors and scripts on this machine ask the model through OpenAI's API: starts it, shows how, "
        "and stops it.",
        "Models",
        slash="serve",
        takes="[stop]",
    ),
    Action(
        "health",
        "How fast it answers",
        "Averages over the last ten replies of each model: speed, first token, memory; what is slow or high, "
        "and what to change.",
        "Models",
        slash="health",
        takes="[MODEL]",
    ),
)
