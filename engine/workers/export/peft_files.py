"""An adapter's PEFT files as plain matrices: what each of them adds to which weight of the base."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from engine.models.adapter_fit import PREFIX
from engine.models.adapters import CONFIG, WEIGHTS
from engine.protocol.errors import EngineError, fault


@dataclass(frozen=True)
class LoraPair:
    """One layer's two matrices, float32."""

    down: torch.Tensor
    """A, `[rank, in]`."""
    up: torch.Tensor
    """B, `[out, rank]`."""
    scale: float
    """What `up @ down` is multiplied by, the adapter's weight included."""
    magnitude: torch.Tensor | None = None
    """DoRA's length of each row of the sum, `[out]`."""
    embedding: bool = False
    """Whether it sits on an embedding, whose weight is `[vocabulary, width]`: the sum is turned."""

    def merged(self, base: torch.Tensor, *, turned: bool) -> torch.Tensor:
        """The base's weight with it, float32. Source: peft's `get_delta_weight` and DoRA's `merge`."""
        delta = (self.up @ self.down) * self.scale
        if self.embedding or turned:
            delta = delta.T
        total = base.float() + delta
        if self.magnitude is None:
            return total
        lengths = torch.linalg.norm(total.T if turned else total, dim=1)
        factor = self.magnitude / lengths
        return total * (factor[None, :] if turned else factor[:, None])


@dataclass(frozen=True)
class AdapterFiles:
    """All of an adapter, by the names of the base's modules."""

    pairs: dict[str, LoraPair]
    biases: dict[str, torch.Tensor]
    """Added to a layer's bias, scaled already."""
    whole: dict[str, torch.Tensor]
    """Tensors that stand in place of the base's (`modules_to_save`, trained biases), by full name."""
    turned: bool
    """Whether the base keeps these weights as `[in, out]` (GPT-2's Conv1D)."""
    config: dict[str, Any]


def read_adapter(folder: Path, name: str, weight: float) -> AdapterFiles:
    """The adapter of a PEFT folder at this weight.

    Raises EngineError `adapter_broken`, or `adapter_not_exportable` for what has no plain matrices.
    """
    try:
        config = json.loads((folder / CONFIG).read_bytes())
        tensors = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise fault(
            "adapter_broken", f"The adapter {name} cannot be read", str(error).partition("\n")[0]
        ) from error
    _refuse(name, config, tensors)
    modules = {_module(key) for key in tensors if ".lora_A." in key or ".lora_embedding_A" in key}
    return AdapterFiles(
        {module: _pair(module, tensors, config, weight) for module in sorted(modules)},
        _biases(tensors, config, weight),
        _whole(tensors),
        config.get("fan_in_fan_out") is True,
        config,
    )


def scale_of(config: dict[str, Any], module: str, rank: int) -> float:
    """PEFT's scaling of a layer: alpha / rank, with its patterns and rslora's root."""
    alpha = float(config.get("lora_alpha") or 8)
    patterns = config.get("alpha_pattern") or {}
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            alpha = float(value)
            break
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank


def _pair(module: str, tensors: dict[str, torch.Tensor], config: dict[str, Any], weight: float) -> LoraPair:
    stem = f"{PREFIX}{module}"
    embedding = f"{stem}.lora_embedding_A" in tensors
    ends = ("lora_embedding_A", "lora_embedding_B") if embedding else ("lora_A.weight", "lora_B.weight")
    down, up = (tensors[f"{stem}.{end}"].float() for end in ends)
    magnitude = tensors.get(f"{stem}.lora_magnitude_vector")
    return LoraPair(
        down,
        up,
        scale_of(config, module, down.shape[0]) * weight,
        None if magnitude is None else magnitude.float().flatten(),
        embedding,
    )


def _biases(
    tensors: dict[str, torch.Tensor], config: dict[str, Any], weight: float
) -> dict[str, torch.Tensor]:
    found = {}
    for key, tensor in tensors.items():
        if key.endswith(".lora_B.bias"):
            module = _module(key)
            rank = tensors[f"{PREFIX}{module}.lora_A.weight"].shape[0]
            found[module] = tensor.float() * (scale_of(config, module, rank) * weight)
    return found


def _whole(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        key.removeprefix(PREFIX).replace(".base_layer.", "."): tensor
        for key, tensor in tensors.items()
        if ".lora_" not in key
    }


def _module(key: str) -> str:
    return key.removeprefix(PREFIX).partition(".lora_")[0]


def _refuse(name: str, config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    why = ""
    if config.get("target_parameters") or any(tensor.dim() != 2 for tensor in _matrices(tensors)):
        why = "It sits on stacked expert weights"
    elif config.get("trainable_token_indices"):
        why = "It holds single tokens of an embedding"
    if why:
        raise not_exportable(name, why)


def _matrices(tensors: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    return [tensor for key, tensor in tensors.items() if key.endswith((".lora_A.weight", ".lora_B.weight"))]


def not_exportable(name: str, why: str, remedy: str = "Export it as a PEFT folder") -> EngineError:
    """The fault of an adapter that a form cannot hold."""
    return fault("adapter_not_exportable", f"{name} cannot be exported in this form", why, remedy)
