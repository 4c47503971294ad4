"""LoRA adapters on packed weights, which PEFT refuses: read from a PEFT folder, for inference only."""

from __future__ import annotations

import copy
import json
import math
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from engine.models.adapters import CONFIG, WEIGHTS
from engine.protocol.errors import EngineError, fault
from engine.protocol.runs import AdapterInfo
from engine.workers.adapter_mix import broken, refuse_unmixable, slot
from engine.workers.loaded import LoadedModel
from engine.workers.quantise import is_packed

_PART = re.compile(r"^base_model\.model\.(?P<path>.+)\.lora_(?P<side>[AB])\.weight$")
_NAME = re.compile(r"^[\w.]+$")
_BEYOND = {
    "use_dora": "DoRA",
    "lora_bias": "LoRA with a bias",
    "modules_to_save": "whole retrained layers",
    "trainable_token_indices": "retrained tokens",
    "target_parameters": "parameters of experts",
    "fan_in_fan_out": "transposed layers",
}
"""Settings of an adapter that this file does not compute, in words."""
_RANK_LIMIT = 1 << 16


class LoraOverPacked(nn.Module):
    """`base(x) + scaling * B(A(x))`, the adapter's part in float32 as PEFT has it; one may sit on another."""

    def __init__(
        self, base: nn.Module, a: torch.Tensor, b: torch.Tensor, scaling: float, name: str = "default"
    ) -> None:
        """`a` `[rank, in]`, `b` `[out, rank]`; the base layer is shared with other copies of the model."""
        super().__init__()
        self.base_layer = base
        self.register_buffer("a", a)
        self.register_buffer("b", b)
        self.name = name
        self.scaling = {name: scaling}
        """Spelled as PEFT spells it, so that an adapter's weight is changed in one way."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.base_layer(x)
        low = functional.linear(x.to(self.a.dtype), self.a)  # type: ignore[arg-type, union-attr]
        change = functional.linear(low, self.b)  # type: ignore[arg-type]
        return y + (change * self.scaling[self.name]).to(y.dtype)


def on_packed(loaded: LoadedModel, *adapters: AdapterInfo) -> PreTrainedModel:
    """The adapters on a copy of the model's modules over the same packed weights.

    Raises EngineError `adapter_needs_whole` for what only unpacked weights can carry, `adapter_broken`,
    `adapter_unmixable`.
    """
    model = packed_skeleton(loaded.model)
    for place, adapter in enumerate(adapters):
        _put(model, loaded, adapter, slot(place), alone=len(adapters) == 1)
    return model


def _put(
    model: PreTrainedModel, loaded: LoadedModel, adapter: AdapterInfo, name: str, *, alone: bool
) -> None:
    folder = Path(adapter.path)
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_bytes())
        tensors = load_file(folder / WEIGHTS)
        if not alone:
            refuse_unmixable(adapter, config)
        _refuse_beyond(config, adapter, loaded)
        pairs = _pairs(tensors, adapter, loaded)
        for path, (a, b) in pairs.items():
            _wrap(model, path, a, b, _scale(config, path, a.shape[0]), name)
    except (OSError, ValueError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise broken(adapter, str(error).strip().partition("\n")[0]) from error


def packed_skeleton(model: PreTrainedModel) -> PreTrainedModel:
    """Modules of its own over the same weights; packed layers hold nothing that changes, and are shared."""
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    shared |= {id(module): module for module in model.modules() if is_packed(module)}
    return copy.deepcopy(model, shared)


def _refuse_beyond(config: dict[str, Any], adapter: AdapterInfo, loaded: LoadedModel) -> None:
    found = [words for key, words in _BEYOND.items() if config.get(key)]
    if config.get("bias", "none") != "none":
        found.append("retrained biases")
    if found:
        raise _needs_whole(adapter, loaded, found[0])


def _pairs(
    tensors: dict[str, torch.Tensor], adapter: AdapterInfo, loaded: LoadedModel
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Path of the layer to its A and B, in float32 on the model's device."""
    sides: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        match = _PART.match(name)
        if match is None:
            raise _needs_whole(adapter, loaded, f"a part named {name.removeprefix('base_model.model.')}")
        sides.setdefault(match["path"], {})[match["side"]] = tensor
    pairs = {}
    for path, both in sides.items():
        if both.keys() != {"A", "B"} or both["A"].dim() != 2 or both["B"].dim() != 2:
            raise broken(adapter, f"Half of its matrices for {path} are missing or have no rows")
        a, b = (both[side].to(loaded.model.device, torch.float32).contiguous() for side in "AB")
        pairs[path] = (a, b)
    return pairs


def _wrap(
    model: PreTrainedModel, path: str, a: torch.Tensor, b: torch.Tensor, scaling: float, slot_name: str
) -> None:
    try:
        layer: Any = model.get_submodule(path)
    except AttributeError:
        raise ValueError(f"The model has no place for {path}") from None
    base = layer
    while isinstance(base, LoraOverPacked):  # of an adapter that is there already
        base = base.base_layer
    if not (isinstance(base, nn.Linear) or is_packed(base)):
        raise ValueError(f"{path} is no linear layer")
    wanted = ((a.shape[0], base.in_features), (base.out_features, a.shape[0]))
    if (tuple(a.shape), tuple(b.shape)) != wanted:
        raise ValueError(f"Its matrices for {path} are made for another width")
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, LoraOverPacked(layer, a, b, scaling, slot_name))


def _scale(config: dict[str, Any], path: str, rank: int) -> float:
    """As PEFT: alpha over the rank, or over its root for rsLoRA; some layers have an alpha of their own."""
    alpha = float(config.get("lora_alpha", 8))
    own = config.get("alpha_pattern")
    for name, value in (own if isinstance(own, dict) else {}).items():
        if not _NAME.match(name):  # PEFT takes regular expressions here; those of a stranger can hang
            raise ValueError(f"Its alpha for {name} names layers by an expression")
        if f".{path}".endswith(f".{name}"):
            alpha = float(value)
            break
    if not (0 < rank < _RANK_LIMIT and math.isfinite(alpha)):
        raise ValueError("Its rank or its alpha is no usable number")
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _needs_whole(adapter: AdapterInfo, loaded: LoadedModel, words: str) -> EngineError:
    return fault(
        "adapter_needs_whole",
        f"The adapter {adapter.name} does not work on packed weights",
        f"It has {words}, and {loaded.info.name} is loaded as {loaded.info.quant}",
        "Load the model with --quant none",
    )
