"""A base packed by bitsandbytes for a run: what PiSSA, OLoRA and LoftQ take out of it before or after."""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel

from engine.protocol.training import TrainSpec
from engine.workers.training.initialise import Start, residual, start_of


class PackedStarts:
    """See engine.workers.quantise.Learner. Nothing for methods that start from noise."""

    def __init__(self, spec: TrainSpec) -> None:
        self._spec = spec
        self._paths: frozenset[str] = frozenset()
        self.taken: dict[str, Start] = {}
        """By the layer's path."""

    def placed(self, model: PreTrainedModel) -> None:
        """Find the layers that the adapter will sit on."""
        # PEFT takes seconds to import, and only its names of the layers are needed here.
        from engine.workers.training.targets import target_paths

        if self._spec.method in ("pissa", "olora", "loftq"):
            self._paths = frozenset(target_paths(model, self._spec.targets))

    @torch.no_grad()
    def packing(self, path: str, source: nn.Linear) -> None:
        """Take the start out of the whole weight, so that the residual is what gets packed (QPiSSA)."""
        if path not in self._paths or self._spec.method == "loftq":
            return
        start = self._start(source.weight)
        self.taken[path] = start
        source.weight = nn.Parameter(residual(source.weight, start), requires_grad=False)

    @torch.no_grad()
    def packed(self, path: str, source: nn.Linear, made: nn.Module) -> None:
        """Start from what packing lost (LoftQ, one round)."""
        if path not in self._paths or self._spec.method != "loftq":
            return
        from peft.utils.integrations import dequantize_module_weight

        held = dequantize_module_weight(made).float()
        self.taken[path] = self._start(source.weight.to(held.device).float() - held)

    def _start(self, weight: torch.Tensor) -> Start:
        return start_of(self._spec.method, weight, self._spec.rank, self._spec.seed)
