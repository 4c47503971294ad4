"""A start that was taken out of the weights, written as a plain LoRA for the untouched base."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.workers.training.initialise import ADAPTER, Start, lora_layers


def plain_lora(model: Any, starts: dict[str, Start]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by PEFT's names and the config's changes: twice the rank, twice alpha, the same scale.

    The base lost scale x B0 @ A0 when the run began, so what changed is scale x (B @ A - B0 @ A0), which
    is [B, B0] @ [A, -A0].
    """
    tensors: dict[str, Tensor] = {}
    for path, layer in lora_layers(model):
        a, b = layer.lora_A[ADAPTER].weight.detach(), layer.lora_B[ADAPTER].weight.detach()
        root = layer.scaling[ADAPTER] ** 0.5
        first = Start(starts[path].a.to(a) / root, starts[path].b.to(b) / root)
        name = f"base_model.model.{path}"
        tensors[f"{name}.lora_A.weight"] = torch.cat([a, -first.a]).cpu().contiguous()
        tensors[f"{name}.lora_B.weight"] = torch.cat([b, first.b], dim=1).cpu().contiguous()
    config = model.peft_config[ADAPTER]
    return tensors, {"r": 2 * config.r, "lora_alpha": 2 * config.lora_alpha}
