"""KV cache layers that are preallocated, written in place and can be rewound, and the cache built of them."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PretrainedConfig
from transformers.cache_utils import (
    CacheLayerMixin,
    DummyLayer,
    DynamicCache,
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionLayer,
)

STEP = 256
"""Tokens by which a layer's buffers grow at least."""
SPARE = 16
"""Beyond 4,096 tokens they grow by this part of what they hold."""


class GrowingLayer(DynamicLayer):
    """Keys and values of one full-attention layer, batch 1.

    `keys` and `values` are views `[1, heads, length, dim]` of larger buffers, so a new token costs one row's
    copy. Same contract as DynamicLayer; `crop` takes minus the number of tokens to remove.
    """

    def __init__(self) -> None:
        super().__init__()
        self._length = 0
        self._buffers: tuple[torch.Tensor, torch.Tensor] | None = None

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        self._buffers = (_empty_like(key_states, 0), _empty_like(value_states, 0))
        self.is_initialized = True
        self._show()

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append `[1, heads, new, dim]` and return everything that the new queries may see."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, self._length = self._length, self._length + key_states.shape[-2]
        buffers = self._reserve(self._length)
        for buffer, states in zip(buffers, (key_states, value_states), strict=True):
            buffer.narrow(-2, start, states.shape[-2]).copy_(states)
        self._show()
        assert self.keys is not None
        assert self.values is not None
        return self.keys, self.values

    def get_seq_length(self) -> int:
        return self._length

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last `-tokens_to_remove` tokens; the buffers stay. Raises ValueError when positive."""
        if tokens_to_remove > 0:
            raise ValueError("crop takes minus the number of tokens to remove")
        self._length = max(0, self._length + tokens_to_remove)
        self._show()

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep only these rows of a batch."""
        if self._buffers is not None:
            keys, values = (buffer[indices] for buffer in self._buffers)
            self._buffers = (keys, values)
            self._show()

    def reset(self) -> None:
        self._length, self._buffers = 0, None
        self.keys = self.values = None
        self.is_initialized = False

    def nbytes(self) -> int:
        """Bytes of both buffers, the unused rows included."""
        return sum(buffer.nbytes for buffer in self._buffers or ())

    def _reserve(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        assert self._buffers is not None
        if length > self._buffers[0].shape[-2]:
            # In proportion, or a long chat would be copied again and again.
            step = max(STEP, length // SPARE)
            capacity = -(-length // step) * step
            keys, values = (_grown(buffer, capacity) for buffer in self._buffers)
            self._buffers = (keys, values)
        return self._buffers

    def _show(self) -> None:
        if self._buffers is not None:
            self.keys, self.values = (buffer.narrow(-2, 0, self._length) for buffer in self._buffers)


class GrowingSlidingLayer(GrowingLayer):
    """Keeps every key, so that it can be rewound, and returns only what the window shows.

    For `n` new tokens that is the last `window - 1 + n` rows, as DynamicSlidingWindowLayer returns them; the
    mask, sized by `get_mask_sizes`, hides the rest of them from the later queries.
    """

    is_sliding = True

    def __init__(self, sliding_window: int) -> None:
        super().__init__()
        self.sliding_window = sliding_window

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        keys, values = super().update(key_states, value_states)
        visible = min(self._length, self.sliding_window - 1 + key_states.shape[-2])
        start = self._length - visible
        return keys.narrow(-2, start, visible), values.narrow(-2, start, visible)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Rows that `update` will return for so many new tokens, and the position of the first of them."""
        past = min(self._length, self.sliding_window - 1)
        return past + query_length, self._length - past

    def get_max_length(self) -> int:
        return self.sliding_window


def make_cache(config: PretrainedConfig) -> DynamicCache:
    """An empty cache for this model: our layers for plain and sliding attention, else transformers' own."""
    cache = DynamicCache(config=config)
    if cache.layer_class_to_replicate is DynamicLayer:
        cache.layer_class_to_replicate = GrowingLayer
    cache.layers = [_ours(layer) for layer in cache.layers]
    return cache


def can_rewind(cache: DynamicCache) -> bool:
    """Whether each layer can forget its last tokens."""
    return all(isinstance(layer, GrowingLayer | DummyLayer) for layer in cache.layers)


def can_snapshot(cache: DynamicCache) -> bool:
    """Whether the layers that cannot be rewound have states of constant size, which can be copied."""
    return all(
        isinstance(layer, GrowingLayer | DummyLayer) or type(layer) is LinearAttentionLayer
        for layer in cache.layers
    )


def cache_bytes(cache: DynamicCache) -> int:
    """Bytes that the cache holds."""
    return sum(_layer_bytes(layer) for layer in cache.layers)


def _layer_bytes(layer: object) -> int:
    if isinstance(layer, GrowingLayer):
        return layer.nbytes()
    states: list[torch.Tensor | None] = []
    if isinstance(layer, LinearAttentionLayer):
        states += [*layer.conv_states.values(), *layer.recurrent_states.values()]
    if isinstance(layer, CacheLayerMixin):
        states += [layer.keys, layer.values]
    return sum(state.nbytes for state in states if state is not None)


def _ours(layer: Any) -> Any:
    if type(layer) is DynamicLayer:
        return GrowingLayer()
    if type(layer) is DynamicSlidingWindowLayer:
        return GrowingSlidingLayer(layer.sliding_window)
    return layer


def _empty_like(states: torch.Tensor, length: int) -> torch.Tensor:
    return states.new_empty((*states.shape[:-2], length, states.shape[-1]))


def _grown(buffer: torch.Tensor, capacity: int) -> torch.Tensor:
    larger = _empty_like(buffer, capacity)
    larger[:, :, : buffer.shape[-2]].copy_(buffer)
    return larger
