"""Turns token ids into the logits of the next one: with a reused cache, or for unusual models without any."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Protocol

import torch
from transformers import PreTrainedModel

from engine.workers.lean_step import LeanStep, lean_step
from engine.workers.prefix import PrefixCache

CHUNK = 512
"""Tokens of one prefill forward; between two of them a stop is noticed."""


class Steps(Protocol):
    """One sequence, batch 1, without padding."""

    cached: int
    """Tokens of the prompt that needed no computing."""

    @property
    def fed(self) -> int:
        """Tokens that the model has seen."""
        ...

    def prefill(self, prompt: Sequence[int], go_on: Callable[[], bool]) -> torch.Tensor | None:
        """Logits `[vocabulary]`, float32, after the prompt; None when `go_on()` said no between chunks."""
        ...

    def feed(self, ids: Sequence[int]) -> torch.Tensor:
        """Logits `[vocabulary]`, float32, after these further tokens."""
        ...

    def rows(self, ids: Sequence[int]) -> torch.Tensor:
        """Logits `[len(ids), vocabulary]` after each of these further tokens, as the model computes them."""
        ...


class CachedSteps:
    """Forward passes over a PrefixCache. No 2D mask: with one unpadded row it would only cost time."""

    def __init__(self, model: PreTrainedModel, prefix: PrefixCache, boundary: int | None = None) -> None:
        """`boundary`: a position in the prompt to which the next turn is likely to return."""
        self._model = model
        self._prefix = prefix
        self._boundary = boundary
        self._extra = {"logits_to_keep": 1} if _keeps_logits(model) else {}
        self._lean: LeanStep | None = None
        self._asked = False
        self.cached = 0

    @property
    def fed(self) -> int:
        return len(self._prefix.ids)

    def prefill(self, prompt: Sequence[int], go_on: Callable[[], bool]) -> torch.Tensor | None:
        self.cached = self._prefix.align(prompt)
        logits = None
        for start, end in self._chunks(len(prompt)):
            if not go_on():
                return None
            logits = self.feed(prompt[start:end])
            if self._prefix.snapshots and end in (self._boundary, len(prompt)):
                self._prefix.mark()
        return logits

    def feed(self, ids: Sequence[int]) -> torch.Tensor:
        return self._forward(ids, self._extra)[-1].float()

    def rows(self, ids: Sequence[int]) -> torch.Tensor:
        return self._forward(ids, {})

    def _forward(self, ids: Sequence[int], extra: dict[str, int]) -> torch.Tensor:
        lean = self._short_way() if len(ids) == 1 else None
        if lean is not None:
            row = lean(ids[0], self._prefix.kv)
            self._prefix.ids.extend(ids)
            return row
        out = self._model(
            input_ids=torch.tensor([ids], device=self._model.device),
            past_key_values=self._prefix.kv,
            use_cache=True,
            **extra,
        )
        self._prefix.ids.extend(ids)
        logits: torch.Tensor = out.logits[0]
        return logits

    def _short_way(self) -> LeanStep | None:
        if not self._asked:
            self._asked, self._lean = True, lean_step(self._model)
        return self._lean if self._lean is not None and self._lean.takes(self._prefix.kv) else None

    def _chunks(self, length: int) -> list[tuple[int, int]]:
        edges = {*range(self.cached, length, CHUNK), length}
        if self._prefix.snapshots and self._boundary is not None and self.cached < self._boundary < length:
            edges.add(self._boundary)
        ordered = sorted(edges)
        return list(zip(ordered, ordered[1:], strict=False))


class RecomputingSteps:
    """The whole sequence again for each token, as `generate(use_cache=False)`: slow, but always right."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._keeps = _keeps_logits(model)
        self._ids: list[int] = []
        self.cached = 0

    @property
    def fed(self) -> int:
        return len(self._ids)

    def prefill(self, prompt: Sequence[int], go_on: Callable[[], bool]) -> torch.Tensor | None:
        return self.feed(prompt) if go_on() else None

    def feed(self, ids: Sequence[int]) -> torch.Tensor:
        self._ids.extend(ids)
        return self._last(1)[-1].float()

    def rows(self, ids: Sequence[int]) -> torch.Tensor:
        self._ids.extend(ids)
        return self._last(len(ids))

    def _last(self, count: int) -> torch.Tensor:
        out = self._model(
            input_ids=torch.tensor([self._ids], device=self._model.device),
            use_cache=False,
            **({"logits_to_keep": count} if self._keeps else {}),
        )
        logits: torch.Tensor = out.logits[0, -count:]
        return logits


def _keeps_logits(model: PreTrainedModel) -> bool:
    """Whether the head can be applied to the last position alone."""
    return "logits_to_keep" in _arguments(type(model).forward)


@cache
def _arguments(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)
