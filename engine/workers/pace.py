"""Which way is the faster one on this machine: the packed kernel, or a matmul over unpacked weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import torch
from torch import nn

from engine.workers.packed import ALWAYS, Int4Linear, PackedLinear, block

MOST = 512
"""Rows that are tried at most: a chunk of a prompt (engine/workers/steps.py)."""
TRIES = 3
_NEAR = 1.1
"""The kernel has to lose by more than noise."""
_LEAST_WORK = 1 << 17
"""Weights of a layer below which both ways cost the calling, not the computing."""


@torch.inference_mode()
def choose(layers: Iterable[PackedLinear]) -> None:
    """Measure one layer of each kind and shape, and set `rows` and `whole_dtype` of all. Takes a moment."""
    chosen: dict[tuple[type, int, int], tuple[int, torch.dtype]] = {}
    for layer in layers:
        shape = (type(layer), layer.in_features, layer.out_features)
        if shape not in chosen:
            chosen[shape] = _fastest(layer)
        layer.rows, layer.whole_dtype = chosen[shape]


@torch.inference_mode()
def gain(layer: PackedLinear, dtype: torch.dtype) -> float:
    """How many times as fast one row is as with plain weights of this dtype."""
    plain = nn.Linear(layer.in_features, layer.out_features, bias=False, dtype=dtype)
    x = _rows(layer, 1).to(dtype)
    return _best(lambda: plain(x)) / _best(lambda: layer(x))


def _fastest(layer: PackedLinear) -> tuple[int, torch.dtype]:
    """(rows up to which the kernel is faster, dtype of the matmul beyond)."""
    if isinstance(layer, Int4Linear) and not block():
        return ALWAYS, torch.float32
    if layer.in_features * layer.out_features < _LEAST_WORK or layer.out_features > 64 * layer.in_features:
        return ALWAYS, torch.float32  # too small to matter, or a head, which sees one row
    dtype, seconds = min(
        ((dtype, _matmul(layer, MOST, dtype)) for dtype in {layer.scales.dtype, torch.float32}),
        key=lambda pair: pair[1],
    )
    rows = MOST
    kernel = _kernel(layer, rows)
    if kernel < _NEAR * seconds:
        return ALWAYS, dtype
    while rows > 1 and kernel >= _NEAR * seconds:
        rows //= 2
        kernel, seconds = _kernel(layer, rows), _matmul(layer, rows, dtype)
    return rows, dtype


def _kernel(layer: PackedLinear, rows: int) -> float:
    x = _rows(layer, rows)
    return _best(lambda: layer.by_kernel(x))


def _matmul(layer: PackedLinear, rows: int, dtype: torch.dtype) -> float:
    layer.whole_dtype = dtype
    x = _rows(layer, rows)
    return _best(lambda: layer.by_matmul(x))


def _rows(layer: PackedLinear, count: int) -> torch.Tensor:
    return torch.full((count, layer.in_features), 0.5, dtype=layer.scales.dtype)


def _best(call: Callable[[], object]) -> float:
    """Seconds of the quickest of a few calls: whatever else runs on the machine only makes them slower."""
    best = float("inf")
    for _ in range(TRIES):
        began = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began)
    return best
