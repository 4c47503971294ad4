"""Successive halving (arXiv 1603.06560): who goes on after which share of the budget. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from engine.protocol.errors import fault

Evals = Sequence[tuple[float, float]]
"""(share of the budget, eval loss) of one run, oldest first."""


def checked_keep(keep: float) -> float:
    """Raises EngineError `race_wrong` for what is no share."""
    if not 0 < keep <= 1:
        raise fault("race_wrong", f"{keep:g} is no share of the settings", remedy="Say 0 < keep <= 1")
    return keep


def rungs(settings: int, keep: float) -> list[tuple[float, int]]:
    """(share of the budget, settings that go on from there), the earliest first; the last leaves one.

    With 8 settings and keep 0.5: 4 go on at 1/8 of the budget, 2 at 1/4, 1 at 1/2. So each round costs about
    as much as the one before it.
    """
    if settings < 2 or keep >= 1:
        return []
    left, counts = settings, []
    while left > 1:
        left = min(left - 1, math.ceil(left * keep))
        counts.append(left)
    return [(keep ** (len(counts) - place), count) for place, count in enumerate(counts)]


def at(evals: Evals, share: float) -> float | None:
    """The first loss from this share of the budget on; the one before step 1 never counts."""
    return next((loss for place, loss in evals if place >= share and place > 0), None)


def ranked(evals: Mapping[str, Sequence[Evals]], share: float) -> list[str]:
    """Settings that were evaluated there, the lowest mean loss over their seeds first; ties as they stand."""
    means = {}
    for setting, members in evals.items():
        losses = [loss for member in members if (loss := at(member, share)) is not None]
        if losses:
            means[setting] = statistics.fmean(losses)
    return sorted(means, key=lambda setting: means[setting])
