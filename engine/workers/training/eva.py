"""EVA: A starts from the main directions of what each layer gets to see (Paischer et al., arXiv 2410.07170).

All layers keep the spec's rank (the paper's rho is 1), so that a run can be resumed without its data.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from engine.workers.training.initialise import ADAPTER, lora_layers

KEPT = 2
"""Directions kept between batches, in ranks."""
ROWS = 512
"""Tokens of one forward that are looked at."""


class _Seen:
    """The main directions of all inputs so far."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._sketch: Tensor | None = None

    def look(self, inputs: Tensor) -> None:
        rows = inputs.detach().flatten(0, -2)[:ROWS].float()
        stacked = rows if self._sketch is None else torch.cat([self._sketch, rows])
        _, s, v = torch.linalg.svd(stacked, full_matrices=False)
        self._sketch = (s[:, None] * v)[: self._keep]

    def directions(self, rank: int) -> Tensor:
        """Of length 1, the strongest first; fewer than the rank where less was seen."""
        if self._sketch is None:
            return torch.empty(0, 0)
        return nn.functional.normalize(self._sketch[:rank])


@contextlib.contextmanager
def looking(model: nn.Module) -> Iterator[None]:
    """Forwards inside are looked at; at the end A is set, and B stays zero."""
    layers = {path: layer for path, layer in lora_layers(model) if ADAPTER in layer.lora_A}
    seen = {path: _Seen(KEPT * layer.r[ADAPTER]) for path, layer in layers.items()}
    last: list[Any] = [None, None]

    def hook(path: str) -> Any:
        def look(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
            if last[0] is inputs[0]:  # q, k and v see the same tensor
                seen[path] = last[1]
                return
            seen[path].look(inputs[0])
            last[:] = [inputs[0], seen[path]]

        return look

    handles = [layer.register_forward_pre_hook(hook(path)) for path, layer in layers.items()]
    try:
        with torch.no_grad():
            yield
            for path, layer in layers.items():
                found = seen[path].directions(layer.r[ADAPTER])
                if len(found):
                    layer.lora_A[ADAPTER].weight[: len(found)] = found
    finally:
        for handle in handles:
            handle.remove()
