"""The learning rate over a run: a linear rise, then a cosine down to a tenth."""

from __future__ import annotations

import math

FLOOR = 0.1
"""Share of the peak rate at the last step."""


def rate_at(step: int, steps: int, peak: float, warmup: float) -> float:
    """The rate of step 1 to `steps`; `warmup` is the share of steps over which it rises."""
    rise = max(1, round(steps * warmup)) if warmup else 0
    if step <= rise:
        return peak * step / rise
    progress = (step - rise) / max(1, steps - rise)
    return peak * (FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * progress)) / 2)
