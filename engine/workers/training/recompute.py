"""Activation checkpointing of single layers: those that do not fit are computed again in the backward pass.

transformers' own switch is for all layers at once; a machine that lacks a tenth of the memory would pay for
ten times as much computing as it needs (torch.utils.checkpoint, non-reentrant: arXiv 1604.06174).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def decoder_layers(network: nn.Module) -> list[nn.Module]:
    """The layers of a causal language model of transformers, in order; empty where they are not found."""
    decoder = network.get_decoder()  # type: ignore[operator]
    lists = [list(module) for module in decoder.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=len, default=[])


def recompute(network: nn.Module, count: int) -> int:
    """Let the first `count` layers keep their input alone; returns how many do, of those there are.

    Losses and gradients stay the same to the last bit: dropout's masks are derived from the run's place,
    so no generator's state is kept. A further call changes the number; 0 undoes it.
    """
    layers = decoder_layers(network)
    for place, layer in enumerate(layers):
        vars(layer).pop("forward", None)  # the class's own again
        if place < count:
            vars(layer)["forward"] = _recomputed(layer.forward)
    return min(count, len(layers))


def _recomputed(forward: Callable[..., Any]) -> Callable[..., Any]:
    def call(*inputs: Any, **options: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*inputs, **options)
        return checkpoint(forward, *inputs, use_reentrant=False, preserve_rng_state=False, **options)

    return call
