"""What the models screen tells of the model under the cursor: labelled lines of plain words. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.api import HEADROOM, runs, specs
from tui.fit import Fit, load_dtype
from tui.format import percent, plural, size
from tui.glyphs import bar
from tui.model_rows import Row
from tui.state import EngineState

THINKING = {
    "always": "always thinks",
    "switchable": "thinking can be switched",
    "never": "does not think",
}


class Fact(NamedTuple):
    """One labelled line."""

    label: str
    words: str
    grave: bool = False


def facts(row: Row, engine: EngineState) -> list[Fact]:
    """Everything worth telling of one model, what matters most first."""
    model = row.model
    told: list[Fact] = []
    if model.support != "tested" and model.why:
        label = "not usable" if model.support == "unsupported" else "untested"
        told.append(Fact(label, _sentence(model.why), grave=True))
    if model.state == "loading":
        phase = engine.phases.get(model.id, "")
        parts = [f"{bar(model.progress, 20)} {percent(model.progress)}", phase, "Esc cancels"]
        told.append(Fact("loading", " · ".join(part for part in parts if part)))
    if model.support != "unsupported":
        told.append(Fact("memory", _memory(row.fit, model, engine), grave=row.fit.verdict in ("alone", "no")))
        told.append(Fact("answers", _answers(model)))
        told.append(Fact("defaults", _defaults(model.defaults)))
        told.append(Fact("adapters", _adapters(engine.fitting(model.id))))
    if model.id not in (model.name, model.path):
        told.append(Fact("id", model.id))
    if model.path:
        told.append(Fact("folder", _folder(model.path)))
    return told


def _memory(fit: Fit, model: specs.ModelInfo, engine: EngineState) -> str:
    dtype = load_dtype(model, engine)
    if fit.verdict == "held":
        how = f" as {dtype}" if dtype else ""
        return f"{size(fit.need)} held{how}{f' on {model.device}' if model.device else ''}"
    if not fit.need:
        return "unknown: its headers do not tell the size"
    weights = f"{size(fit.weights)} of weights{f' as {dtype}' if dtype else ''}"
    words = f"{weights} + {size(HEADROOM)} to work in"
    if fit.pool is None:
        return f"needs {words} = {size(fit.need)}"
    words = f"needs {words} = {size(fit.need)} of {size(fit.pool.free)} free {fit.pool.name}"
    return words + {
        "yes": " · ✓ fits",
        "alone": " · ~ fits once other models are unloaded",
        "no": " · ✗ does not fit",
    }.get(fit.verdict, "")


def _answers(model: specs.ModelInfo) -> str:
    if model.chat:
        parts = ["in chats, by its own template", THINKING[model.thinking]]
    else:
        parts = ["carries your text on (completion mode): it has no chat template"]
    if model.context:
        parts.append(f"up to {plural(model.context, 'token')}")
    return " · ".join(parts)


def _defaults(sampling: specs.Sampling) -> str:
    """The model's own generation_config; Qwill's defaults fill what it leaves open."""
    if sampling.temperature == 0:
        return "greedy, as its generation_config says"
    told = msgspec.structs.asdict(sampling).items()
    words = " · ".join(f"{field} {value:g}" for field, value in told if value is not None)
    return words or "its generation_config names none"


def _adapters(fitting: list[runs.AdapterInfo]) -> str:
    if not fitting:
        return "none yet; F4 trains one"
    return " · ".join(_adapter(adapter) for adapter in fitting)


def _adapter(adapter: runs.AdapterInfo) -> str:
    parts = [f"rank {adapter.rank}"] if adapter.rank else []
    if adapter.loss is not None:
        parts.append(f"loss {adapter.loss:.2f}")
    return f"{adapter.name} ({', '.join(parts)})" if parts else adapter.name


def _folder(path: str) -> str:
    home = str(Path.home())
    return f"~{path[len(home) :]}" if path.startswith(home + "/") else path


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
