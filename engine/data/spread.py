"""How numbers are spread: quantiles and a histogram with round edges."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from engine.protocol.runs import Spread

SHARES = (0.0, 0.25, 0.5, 0.75, 0.95, 1.0)
BINS = 12
"""Bins at most."""
_STEPS = (1, 2, 5)


def spread(numbers: Sequence[int]) -> Spread | None:
    """None where there are no numbers."""
    if not numbers:
        return None
    ordered = sorted(numbers)
    last = len(ordered) - 1
    width = _width(ordered[-1] - ordered[0])
    first = ordered[0] // width * width
    edges = tuple(range(first, ordered[-1] + width + 1, width))
    counts = [0] * (len(edges) - 1)
    for number in ordered:
        counts[bisect_right(edges, number) - 1] += 1
    quantiles = tuple(ordered[round(share * last)] for share in SHARES)
    return Spread(quantiles, edges, tuple(counts), sum(ordered))


def _width(range_: int) -> int:
    """1, 2 or 5 times a power of ten, such that BINS of them cover the range."""
    scale = 1
    while True:
        for step in _STEPS:
            if range_ < (BINS - 1) * step * scale:
                return step * scale
        scale *= 10
