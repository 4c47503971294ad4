"""Replies of many prompts in one forward each step: rows padded on the left, each with its own sampler.

It runs beside the model thread and yields to the chat between two steps; a row that has ended gives its place
in the cache back once half of them have.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache

from engine.backend import ReplySpec
from engine.batch_works import BatchSink
from engine.holdings import Held, shared
from engine.protocol.errors import EngineError, fault
from engine.workers.adapted import AdaptedModels
from engine.workers.batch_row import BatchRow
from engine.workers.cache import GrowingLayer, cache_bytes, can_rewind, make_cache
from engine.workers.device import (
    give_back_memory,
    is_out_of_memory,
    out_of_memory,
    shares_processor,
    use_threads,
)
from engine.workers.gate import Gate
from engine.workers.growth import SMALL, free_memory, needed
from engine.workers.loaded import LoadedModel
from engine.workers.memory import Tick, tell_torch

FAMILIES = frozenset({"qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "llama", "mistral", "olmo2", "gemma3_text"})
"""model_types whose padded rows are compared with rows of their own in the tests."""
CHUNK = 2048
"""Tokens of one prefill forward, over all rows."""
PLANNED = 512
"""New tokens of a row that memory is planned for where no limit says."""


class TorchBatcher:
    """See engine.batch_works.Batcher."""

    def __init__(self, models: Callable[[str], LoadedModel | None], gate: Gate) -> None:
        self._models = models
        self._gate = gate
        self._adapted = AdaptedModels()

    def takes(self, model: str) -> str:
        """Why this model answers rows one by one; empty when it takes them together."""
        loaded = self._models(model)
        if loaded is None:
            raise _not_loaded()
        family = loaded.model.config.get_text_config(decoder=True).model_type
        whole = can_rewind(make_cache(loaded.model.config))
        if family in FAMILIES and whole and loaded.cacheable and loaded.vocabulary.eyes is None:
            return ""
        return f"Rows of the {family} family cannot be padded, so they are answered one by one"

    def forget(self, serial: int) -> None:
        """Let go of adapters on a load that is gone."""
        self._adapted.forget(serial)

    def run(self, specs: tuple[ReplySpec, ...], sink: BatchSink) -> None:
        """Answer all rows; a row's own fault goes to the sink. Raises EngineError."""
        loaded = self._models(specs[0].model)
        if loaded is None:
            raise _not_loaded()
        use_threads(loaded.info.parameters)
        adapters = specs[0].adapters
        model = self._adapted.mixed(loaded, adapters) if adapters else loaded.model
        places = list(range(len(specs)))
        size = self._fitting(loaded, specs)
        while places and not sink.cancelled.is_set():
            now, places = places[:size], places[size:]
            rows = _rows(now, loaded, specs, sink)
            try:
                if rows:
                    Together(model, rows, lambda: self._go_on(loaded, sink)).run(loaded.info.memory, sink)
            except Exception as error:  # that memory ran out is told by many classes
                if not is_out_of_memory(error):
                    raise
                left = [row.place for row in rows if row.finish is None]
                if len(rows) == 1:
                    sink.done(left[0], out_of_memory("writing the reply", error).info)
                    continue
                places, size = [*left, *places], max(1, len(rows) // 2)
            finally:
                shared.drop("batch")
                give_back_memory()

    def _go_on(self, loaded: LoadedModel, sink: BatchSink) -> bool:
        """Between two steps: the chat goes first, and the weights must still be there."""
        if shares_processor(loaded.model.device):
            self._gate.wait(sink.cancelled)
        if self._models(loaded.info.id) is not loaded:
            raise _not_loaded()
        return not sink.cancelled.is_set()

    def _fitting(self, loaded: LoadedModel, specs: Sequence[ReplySpec]) -> int:
        """How many rows at once the free memory holds, at least one."""
        longest = max(sum(len(turn.text) for turn in spec.turns) for spec in specs) // 3 + PLANNED
        free = free_memory(loaded.model.device, loaded.info.memory)
        size = len(specs)
        while size > 1 and (need := size * needed(loaded.info, longest, 0)) > SMALL and need > free // 2:
            size //= 2
        return size


class Together:
    """Rows on their way through one model."""

    def __init__(self, model: PreTrainedModel, rows: Sequence[BatchRow], go_on: Callable[[], bool]) -> None:
        """`go_on` is asked before each forward."""
        self._model = model
        self._rows = list(rows)
        self._go_on = go_on
        self._cache: DynamicCache = make_cache(model.config)
        longest = max(len(row.prompt) for row in rows)
        padding = [longest - len(row.prompt) for row in rows]
        ids = [[0] * pad + row.prompt for pad, row in zip(padding, rows, strict=True)]
        self._ids = torch.tensor(ids, device=model.device)
        """`[rows, longest]`, the prompts padded on the left."""
        places = torch.arange(longest, device=model.device)
        self._mask = (places >= torch.tensor(padding, device=model.device)[:, None]).long()
        """`[rows, tokens in the cache]`, 0 where a row is padded."""
        forward = inspect.signature(type(model).forward).parameters
        self._extra: dict[str, Any] = {"logits_to_keep": 1} if "logits_to_keep" in forward else {}
        self._tick = Tick()

    @torch.inference_mode()
    def run(self, weights: int, sink: BatchSink) -> None:
        """Until all rows have ended, or `go_on` says no. `weights`: bytes of the model, for statistics."""
        logits = self._prefill()
        while logits is not None:
            tokens = [self._step(row, logits[place], sink, weights) for place, row in enumerate(self._rows)]
            if all(row.finish is not None for row in self._rows):
                return
            tokens = self._closed_up(tokens)
            if not self._go_on():
                return
            logits = self._feed(tokens)

    def _step(self, row: BatchRow, logits: torch.Tensor, sink: BatchSink, weights: int) -> int:
        """The row's next token; 0 for one that has ended, whose place is still there."""
        if row.finish is not None:
            return 0
        try:
            token = row.take(logits)
        except EngineError as error:  # no valid number came out, say
            row.finish = "failed"
            sink.done(row.place, error.info)
            return 0
        if row.finish is not None:
            sink.done(row.place, row.result(weights + cache_bytes(self._cache) // len(self._rows)))
        return token

    def _prefill(self) -> torch.Tensor | None:
        """Logits `[rows, vocabulary]` after the prompts; None when `go_on` said no."""
        positions = (self._mask.cumsum(-1) - 1).clamp(min=0)
        length = self._ids.shape[1]
        step = max(32, CHUNK // len(self._rows))
        logits = None
        for start in range(0, length, step):
            if not self._go_on():
                return None
            end = min(start + step, length)
            logits = self._forward(self._ids[:, start:end], self._mask[:, :end], positions[:, start:end])
        return logits

    def _feed(self, tokens: list[int]) -> torch.Tensor:
        device = self._model.device
        new = torch.tensor(tokens, device=device)[:, None]
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), 1)], 1)
        positions = torch.tensor([row.position for row in self._rows], device=device)[:, None]
        return self._forward(new, self._mask, positions)

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        out = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            **self._extra,
        )
        if self._tick():
            with shared.unharmed("the cache of a batch"):
                held = Held("cache", cache_bytes(self._cache), device=str(self._model.device))
                shared.hold("batch", (held,))
            tell_torch()
        logits: torch.Tensor = out.logits[:, -1].float()
        return logits

    def _closed_up(self, tokens: list[int]) -> list[int]:
        """Without the rows that have ended, once these are half of all; the cache with them."""
        going = [place for place, row in enumerate(self._rows) if row.finish is None]
        if len(going) > len(self._rows) // 2:
            return tokens
        kept = torch.tensor(going, device=self._model.device)
        for layer in self._cache.layers:
            if isinstance(layer, GrowingLayer):
                layer.batch_select_indices(kept)
        self._mask = self._mask[kept]
        self._rows = [self._rows[place] for place in going]
        return [tokens[place] for place in going]


def _rows(
    places: Sequence[int], loaded: LoadedModel, specs: Sequence[ReplySpec], sink: BatchSink
) -> list[BatchRow]:
    """Rows ready to go; those that cannot are told."""
    rows = []
    for place in places:
        try:
            rows.append(BatchRow(place, loaded, specs[place]))
        except EngineError as error:
            sink.done(place, error.info)
    return rows


def _not_loaded() -> EngineError:
    return fault("model_not_loaded", "The model was unloaded", remedy="Load it, then go on with the batch")
