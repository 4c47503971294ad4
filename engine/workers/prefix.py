"""A chat's KV cache with the token ids it holds, and how much of the next prompt it saves."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import torch
from transformers import PretrainedConfig
from transformers.cache_utils import LinearAttentionLayer

from engine.workers.cache import GrowingLayer, cache_bytes, can_rewind, can_snapshot, make_cache

SNAPSHOTS = 4
"""Snapshots kept per chat, the newest."""
_States = dict[int, torch.Tensor | None]


class Saved(NamedTuple):
    """States of one linear-attention layer."""

    conv: _States
    recurrent: _States
    started: dict[int, bool]


class Snapshot(NamedTuple):
    """A point that a hybrid model can return to."""

    length: int
    layers: dict[int, Saved]


class PrefixCache:
    """KV cache of one chat, valid for one `key`: weights, dtype and adapter."""

    def __init__(self, key: Hashable, config: PretrainedConfig) -> None:
        self.key = key
        self.ids: list[int] = []
        """Exactly the tokens that the cache has seen, in order."""
        self._config = config
        self._snapshots: list[Snapshot] = []
        self.kv = make_cache(config)
        self.rewinds = can_rewind(self.kv)
        self.snapshots = not self.rewinds and can_snapshot(self.kv)
        """Whether turn boundaries should be marked by `mark`."""

    def align(self, prompt: Sequence[int]) -> int:
        """Go back to the longest usable prefix of the prompt; returns its length, less than the prompt's.

        At least one token is left to compute, because its logits are wanted.
        """
        common = common_prefix(self.ids, prompt[:-1])
        if common < len(self.ids):
            self._return_to(common)
        return len(self.ids)

    def mark(self) -> None:
        """Remember this point by copying the linear-attention states, whose size is constant."""
        layers = {
            place: _saved(layer)
            for place, layer in enumerate(self.kv.layers)
            if isinstance(layer, LinearAttentionLayer)
        }
        kept = [old for old in self._snapshots if old.length != len(self.ids)]
        self._snapshots = [*kept, Snapshot(len(self.ids), layers)][-SNAPSHOTS:]

    def nbytes(self) -> int:
        """Bytes of the cache and its snapshots."""
        saved = [layer for snapshot in self._snapshots for layer in snapshot.layers.values()]
        states = [state for layer in saved for part in layer[:2] for state in part.values()]
        return cache_bytes(self.kv) + sum(state.nbytes for state in states if state is not None)

    def _return_to(self, length: int) -> None:
        if self.rewinds:
            self._crop(length)
            return
        self._snapshots = [snapshot for snapshot in self._snapshots if snapshot.length <= length]
        if self._snapshots:
            self._restore(self._snapshots[-1])
        else:
            self.kv = make_cache(self._config)
            self.ids = []

    def _restore(self, snapshot: Snapshot) -> None:
        self._crop(snapshot.length)
        for place, saved in snapshot.layers.items():
            layer = self.kv.layers[place]
            assert isinstance(layer, LinearAttentionLayer)
            _copy_back(saved.conv, layer.conv_states)
            _copy_back(saved.recurrent, layer.recurrent_states)
            layer.has_previous_state.update(saved.started)

    def _crop(self, length: int) -> None:
        remove = len(self.ids) - length
        for layer in self.kv.layers:
            if isinstance(layer, GrowingLayer):
                layer.crop(-remove)
        del self.ids[length:]


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many ids the two begin with in common."""
    length = 0
    for left, right in zip(first, second, strict=False):
        if left != right:
            break
        length += 1
    return length


def _saved(layer: LinearAttentionLayer) -> Saved:
    # The layers write in place, so a reference would follow the chat instead of staying here.
    return Saved(_cloned(layer.conv_states), _cloned(layer.recurrent_states), dict(layer.has_previous_state))


def _cloned(states: _States) -> _States:
    return {place: None if state is None else state.clone() for place, state in states.items()}


def _copy_back(saved: _States, live: _States) -> None:
    for place, state in saved.items():
        current = live[place]
        if state is not None and current is not None:
            current.copy_(state)
