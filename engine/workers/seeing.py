"""Steps of a model that sees: images go in with the prompt, and every position is given by us."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from engine.protocol.specs import ImageRef
from engine.workers.eyes import Eyes
from engine.workers.prefix import PrefixCache
from engine.workers.steps import CachedSteps

_PLACES = 1 << 20
"""More than one image has tokens."""


class SeeingSteps(CachedSteps):
    """Forward passes over a PrefixCache in which an image's tokens stand under ids of their own.

    Those ids are negative and name the image, so a cache is reused exactly as far as texts and images are the
    same. Positions are computed for the whole sequence and passed in: the model's own memory of the last
    prompt (`rope_deltas`) may be another chat's. Source: transformers' `get_rope_index` of these models.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        prefix: PrefixCache,
        boundary: int | None,
        eyes: Eyes,
        images: Sequence[ImageRef],
    ) -> None:
        super().__init__(model, prefix, boundary)
        self._eyes = eyes
        self._images = images
        self._runs: list[tuple[int, int, ImageRef]] = []
        self._positions = torch.zeros(3, 1, 0, dtype=torch.long)
        self._delta = 0

    def prefill(self, prompt: Sequence[int], go_on: Callable[[], bool]) -> torch.Tensor | None:
        self._runs = self._eyes.runs(prompt, self._images)
        self._place(prompt)
        named = list(prompt)
        for start, end, image in self._runs:
            first = -1 - int(image.id[:12], 16) * _PLACES
            named[start:end] = range(first, first - (end - start), -1)
        return super().prefill(named, go_on)

    def _place(self, prompt: Sequence[int]) -> None:
        """Positions `[3, 1, prompt]` (time, row, column), and how far later ones lag behind their index."""
        count = len(prompt)
        if not self._runs:
            self._positions = torch.arange(count).expand(3, 1, count)
            self._delta = 0
            return
        kinds = torch.zeros(1, count, dtype=torch.int)
        for start, end, _ in self._runs:
            kinds[0, start:end] = 1
        inner: Any = self._model.model
        self._positions, delta = inner.get_rope_index(
            torch.tensor([prompt]), image_grid_thw=self._grids(self._runs), mm_token_type_ids=kinds
        )
        self._delta = int(delta)

    def _grids(self, runs: Sequence[tuple[int, int, ImageRef]]) -> torch.Tensor:
        return torch.cat([self._eyes.look(image).grid for _, _, image in runs])

    def _forward(self, ids: Sequence[int], extra: dict[str, int]) -> torch.Tensor:
        start = len(self._prefix.ids)
        end = start + len(ids)
        device = self._model.device
        seen = [run for run in self._runs if start <= run[0] and run[1] <= end]
        looks: dict[str, Any] = {}
        if seen:
            pixels = torch.cat([self._eyes.look(image).pixels for _, _, image in seen])
            looks = {"pixel_values": pixels.to(device), "image_grid_thw": self._grids(seen).to(device)}
        out = self._model(
            input_ids=torch.tensor([[self._eyes.pad if each < 0 else each for each in ids]], device=device),
            position_ids=self._at(start, end).to(device),
            past_key_values=self._prefix.kv,
            use_cache=True,
            **looks,
            **extra,
        )
        self._prefix.ids.extend(ids)
        logits: torch.Tensor = out.logits[0]
        return logits

    def _at(self, start: int, end: int) -> torch.Tensor:
        """Positions `[3, 1, end - start]`, those behind the prompt counted on from its end."""
        known = self._positions[:, :, start:end]
        behind = torch.arange(start + known.shape[-1], end) + self._delta
        return torch.cat([known, behind.expand(3, 1, len(behind))], dim=-1)

    def _chunks(self, length: int) -> list[tuple[int, int]]:
        """As for text, but no edge cuts an image."""
        edges = {edge for chunk in super()._chunks(length) for edge in chunk}
        for start, end, _ in self._runs:
            edges = {end if start < edge < end else edge for edge in edges}
        ordered = sorted(edges)
        return list(zip(ordered, ordered[1:], strict=False))
