"""The learning rate over a run: a linear rise, then a cosine or a line down to a tenth, or none."""

from __future__ import annotations

import math

from engine.protocol.training import Schedule

FLOOR = 0.1
"""Share of the peak rate at the last step, for cosine and linear."""


def rate_at(step: int, steps: int, peak: float, warmup: float, schedule: Schedule = "cosine") -> float:
    """The rate of step 1 to `steps`; `warmup` is the share of steps over which it rises."""
    rise = max(1, round(steps * warmup)) if warmup else 0
    if step <= rise:
        return peak * step / rise
    progress = (step - rise) / max(1, steps - rise)
    return peak * (FLOOR + (1 - FLOOR) * _left(progress, schedule))


def _left(progress: float, schedule: Schedule) -> float:
    """1 where the fall begins, 0 at the run's end."""
    if schedule == "constant":
        return 1.0
    if schedule == "linear":
        return 1.0 - progress
    return (1 + math.cos(math.pi * progress)) / 2
