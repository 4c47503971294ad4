"""Dropout whose masks are a function of where the run is, not of how many numbers were drawn before."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor, nn


class Moment:
    """Where a run is: which micro-batch of which step. Shared by all of its dropout layers."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._step = self._micro = 0

    def set(self, step: int, micro: int) -> None:
        """Both from 0 or 1, as long as it is the same after a resume."""
        self._step, self._micro = step, micro

    def seed(self, layer: int) -> int:
        """63 bits, another for each layer and moment."""
        words = f"{self._seed}/{self._step}/{self._micro}/{layer}".encode()
        return int.from_bytes(hashlib.blake2b(words, digest_size=8).digest()) >> 1


class MomentDropout(nn.Module):
    """Zeroes a share of the values and scales the others up, in training only.

    torch's default generator is one for the process, and the chat draws from it; and activations that are
    computed again in backward need the mask of the first time.
    """

    def __init__(self, share: float, moment: Moment, layer: int) -> None:
        super().__init__()
        self._share = share
        self._moment = moment
        self._layer = layer

    def forward(self, values: Tensor) -> Tensor:
        """Any shape; on the values' device and in their dtype."""
        if not self.training or not self._share:
            return values
        generator = torch.Generator(values.device).manual_seed(self._moment.seed(self._layer))
        drawn = torch.rand(values.shape, generator=generator, device=values.device)
        return values * (drawn >= self._share).to(values.dtype) / (1 - self._share)

    def __deepcopy__(self, memo: dict[int, Any]) -> MomentDropout:
        return MomentDropout(self._share, self._moment, self._layer)


def without_own_dropout(model: nn.Module) -> None:
    """Turn the base's own dropout off in a skeleton: its masks would come from the shared generator."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        # Attention modules hand this number to a function; few models have it above 0.
        if isinstance(vars(module).get("attention_dropout"), float):
            vars(module)["attention_dropout"] = 0.0
