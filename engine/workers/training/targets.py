"""Which layers an adapter sits on, and a copy of a model's modules that it can be put into."""

from __future__ import annotations

import copy
import re
from typing import Any

from torch import nn

from engine.protocol.errors import EngineError, fault
from engine.protocol.training import TrainSpec
from engine.workers.bnb import is_bnb

_ATTENTION = ("attn", "attention")
_MLP = ("mlp", "feed_forward", "ffn")
GROUPS = frozenset({"attention", "mlp", "attention+mlp", "mlp+attention"})
ALL_LINEAR = "all-linear"
"""All linear layers of the language part but its head, as PEFT has it."""


def skeleton(pristine: nn.Module) -> Any:
    """A model of its own modules on the same weights: about 1 MB, whatever the size of the model.

    The pristine one is never wrapped, so an adapter put into one copy is unknown to every other copy.
    """
    shared: dict[int, Any] = {id(parameter): parameter for parameter in pristine.parameters()}
    # bitsandbytes' scales are neither parameters nor buffers, and a copy of them is a copy of megabytes.
    shared |= {id(module): module for module in pristine.modules() if is_bnb(module)}
    return copy.deepcopy(pristine, shared)


def target_paths(model: nn.Module, targets: str) -> list[str]:
    """Paths of the linear layers in the language part, in the model's order; the head is never one.

    Raises EngineError `no_targets` where none matches, `spec_wrong` for a pattern that is none.
    """
    paths = [path for path in _linears(model) if _wanted(path, targets)]
    if not paths:
        raise fault(
            "no_targets",
            f"This model has no {targets} layers that an adapter could sit on",
            _example(model),
            "Choose other `targets`: attention, mlp, all-linear, or a pattern that matches whole paths",
        )
    return paths


def target_names(model: nn.Module, targets: str) -> list[str]:
    """What PEFT calls those layers: last names, e.g. `q_proj`, or whole paths where names alone hit more."""
    paths = target_paths(model, targets)
    names = {path.rpartition(".")[2] for path in paths}
    hit = {path for path, module in model.named_modules() if path.rpartition(".")[2] in names and path}
    return sorted(names) if hit == set(paths) else paths


def target_layers(model: nn.Module, spec: TrainSpec) -> dict[str, nn.Linear]:
    """The layers themselves, by path. Raises as `target_paths`."""
    linears = _linears(model)
    return {path: linears[path] for path in target_paths(model, spec.targets)}


def adapter_parameters(model: nn.Module, spec: TrainSpec) -> int:
    """How many parameters would learn, without adding them."""
    if spec.method == "full":
        return sum(parameter.numel() for parameter in language_parameters(model))
    layers = target_layers(model, spec).values()
    magnitudes = sum(layer.out_features for layer in layers) if spec.method == "dora" else 0
    return spec.rank * sum(layer.in_features + layer.out_features for layer in layers) + magnitudes


def language_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Of the language part and its head, each once, in the model's order."""
    wanted = {id(parameter) for parameter in model.get_decoder().parameters()}  # type: ignore[operator]
    wanted |= {id(parameter) for parameter in model.get_output_embeddings().parameters()}  # type: ignore[operator]
    return [parameter for parameter in model.parameters() if id(parameter) in wanted]


def _linears(model: nn.Module) -> dict[str, nn.Linear]:
    inner = {id(module) for module in model.get_decoder().modules()}  # type: ignore[operator]
    head = model.get_output_embeddings()  # type: ignore[operator]
    return {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear) and id(module) in inner and module is not head
    }


def _wanted(path: str, targets: str) -> bool:
    if targets == ALL_LINEAR:
        return True
    if targets in GROUPS:
        words = (_ATTENTION if "attention" in targets else ()) + (_MLP if "mlp" in targets else ())
        return any(word in path.rpartition(".")[0] for word in words)
    try:
        return re.fullmatch(targets, path) is not None
    except re.error as error:
        raise bad_pattern(targets, error) from error


def bad_pattern(targets: str, error: re.error) -> EngineError:
    """The EngineError for `targets` that are neither a known name nor a pattern."""
    return fault(
        "spec_wrong",
        f"targets is {targets!r}, which is no pattern",
        str(error),
        "Use attention, mlp, attention+mlp, all-linear, or a regular expression over whole paths",
    )


def _example(model: nn.Module) -> str:
    first = next(iter(_linears(model)), "")
    return f"Its layers have paths like {first}" if first else "Its layers are of a kind that takes none"
