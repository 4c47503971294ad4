"""Models that torch does not compute here: where they run, and what does not work with them. Pure."""

from __future__ import annotations

from engine.api import specs
from tui.text import clean_name


def where(model: specs.ModelInfo) -> str:
    """`llama.cpp`, `ONNX Runtime`, the name of the server, or nothing where torch computes."""
    if model.runs_on == "server":
        return clean_name(model.id.partition("/")[0])
    return {"llama.cpp": "llama.cpp", "onnx": "ONNX Runtime"}.get(model.runs_on, "")


def can_inspect(model: specs.ModelInfo | None) -> bool:
    """Whether its replies can be looked into token by token; servers do not tell what was likely."""
    return model is None or model.runs_on != "server"


def can_train(model: specs.ModelInfo | None) -> bool:
    """Whether adapters can be trained on it, and used with it."""
    return model is None or model.runs_on == "torch"


def unhinted(model: specs.ModelInfo | None) -> frozenset[str]:
    """Ids of the actions that the key hints need not name, because they do not work with this model."""
    gone = () if can_train(model) else ("train", "toggle_adapter", "prove_row", "weigh_more")
    return frozenset((*gone, *(() if can_inspect(model) else ("inspect",))))


def no_inspecting(model: specs.ModelInfo) -> str:
    """Why not, in one sentence."""
    return f"{where(model)} is a server, and servers do not tell what was likely at each word."


def no_training(model: specs.ModelInfo) -> str:
    """Why not, and what to do."""
    return f"{_who(model)} cannot be trained. Choose another base."


def no_adapters(model: specs.ModelInfo) -> str:
    """Why not."""
    return f"{_who(model)} takes no adapters."


def _who(model: specs.ModelInfo) -> str:
    runs = "is an ONNX model" if model.runs_on == "onnx" else "is a GGUF file"
    runs = f"answers from {where(model)}" if model.runs_on == "server" else runs
    return f"{clean_name(model.name)} {runs} and"
