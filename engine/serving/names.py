"""Names of what is served: a model's id, and `model+adapter` for a model with an adapter on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from engine.protocol.runs import AdapterInfo
from engine.protocol.specs import ModelInfo
from engine.serving.faults import Refused

JOINT = "+"


class Served(NamedTuple):
    """One name that requests may use."""

    id: str
    model: ModelInfo
    adapter: AdapterInfo | None = None


def served(models: Iterable[ModelInfo], adapters: Iterable[AdapterInfo]) -> list[Served]:
    """Everything that this machine can answer with, loaded models first, each followed by its adapters."""
    found: list[Served] = []
    fitting = [adapter for adapter in adapters if not adapter.why]
    for model in sorted(filter(_here, models), key=lambda model: model.state != "ready"):
        found.append(Served(model.id, model))
        own = [adapter for adapter in fitting if adapter.fits(model.id)]
        names = [adapter.name for adapter in own]
        for adapter in own:
            name = adapter.name if names.count(adapter.name) == 1 else adapter.id
            found.append(Served(f"{model.id}{JOINT}{name}", model, adapter))
    return found


def find(name: str, known: list[Served]) -> Served:
    """By id; a model also by its short name, an adapter also by its own id. Raises Refused."""
    for tests in (lambda each: each.id, _by_name, _by_adapter_id):
        matches = [each for each in known if tests(each) == name]
        if len(matches) == 1:
            return matches[0]
    words = f"There is no model called {name[:200]!r} here; GET /v1/models lists those there are."
    raise Refused(404, "model_not_found", words, param="model")


def _here(model: ModelInfo) -> bool:
    """A server's model is asked where it is, by those who hold its key."""
    return model.runs_on != "server" and model.support != "unsupported"


def _by_name(each: Served) -> str:
    return f"{each.model.name}{JOINT}{each.adapter.name}" if each.adapter else each.model.name


def _by_adapter_id(each: Served) -> str:
    return f"{each.model.id}{JOINT}{each.adapter.id}" if each.adapter else ""
