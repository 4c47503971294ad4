"""The model switcher."""

from __future__ import annotations

from engine.api import specs
from tui.elsewhere import where
from tui.format import percent, size
from tui.modals.picker import Choice, Picker
from tui.state import State
from tui.widgets.lines import line, name


def model_picker(state: State) -> Picker:
    """All models that were found, the one in use first; dismisses with the model's id."""
    models = sorted(state.engine.models.values(), key=lambda model: model.id != state.model_id())
    return Picker(
        "Models",
        [_choice(model) for model in models],
        placeholder="Type to filter",
        empty="No model matches. /folder PATH adds a folder with models.",
    )


def _choice(model: specs.ModelInfo) -> Choice:
    mark = {"ready": "●", "loading": "◌", "available": "○"}[model.state]
    mark = "◇" if model.runs_on == "server" else mark
    facts = [where(model), model.family, size(model.bytes_on_disk) if model.bytes_on_disk else ""]
    if model.state == "loading":
        facts.append(percent(model.progress))
    if model.support != "tested":
        facts.append(model.support)
    if not model.chat:
        facts.append("completion")
    left = line(f"{mark} {name(model.name)}")
    right = line(("  ".join(name(fact) for fact in facts if fact), "$thought"))
    return Choice(model.id, left, right, f"{model.name} {model.id} {model.family}")
