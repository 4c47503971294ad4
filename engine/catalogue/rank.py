"""What fits here? The catalogue in the order in which a person of this machine would want to try it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt

import msgspec

from engine.catalogue.read import Entry
from engine.models.fit import Estimate, estimate, gib, kinds_for
from engine.models.machine import MachineFacts

QUICK = 8.0
"""Tokens a second below which reading along is a wait."""
KEEPS = {"int8": 0.98, "bnb8": 0.98, "nf4": 0.9, "int4": 0.85}
"""Share of a model's worth that a packed form keeps: a rule of thumb, to order by."""
AGEING = 0.3
"""A model of a year ago counts as one of this share of its size today: a rule of thumb, to order by."""


class Pick(msgspec.Struct, frozen=True):
    """One model of the catalogue on this machine, in the best form that fits."""

    entry: Entry
    estimate: Estimate
    merit: float
    """What it is ranked by among those that fit and are quick enough."""
    why: str
    """One sentence."""

    @property
    def fits(self) -> bool:
        return self.estimate.verdict == "fits"


def what_fits(
    entries: Iterable[Entry],
    facts: MachineFacts | None,
    *,
    use: str = "",
    context: int = 0,
    reserve: int | None = None,
    correction: float = 1.0,
) -> list[Pick]:
    """The models of a use (all, where it is empty): those that fit first, the quick before the slow, then by
    merit. One whose cache cannot be told comes after those whose can.
    """
    known = list(entries)
    now = max((_months(entry.released) for entry in known), default=0)
    picks = []
    for entry in known:
        if use and use not in entry.use:
            continue
        tried = [
            estimate(entry.size, facts, kind=kind, context=context, reserve=reserve, correction=correction)
            for kind in kinds_for(facts)
        ]
        best = _best(tried)
        merit = _merit(entry, best.kind, now)
        picks.append(Pick(entry, best, merit, _why(entry, best, tried)))
    return sorted(picks, key=_order)


def _order(pick: Pick) -> tuple[bool, bool, bool, bool, float]:
    slow = 0 < pick.estimate.tokens_per_s < QUICK
    return not pick.entry.implemented, not pick.fits, not pick.estimate.whole, slow, -pick.merit


def _best(tried: list[Estimate]) -> Estimate:
    """The best quality that fits and is quick; else the quickest that fits; else the smallest."""
    fitting = [found for found in tried if found.verdict == "fits"]
    for found in fitting:
        if not 0 < found.tokens_per_s < QUICK:
            return found
    if fitting:
        return max(fitting, key=lambda found: found.tokens_per_s)
    return min(tried, key=lambda found: found.need)


def _merit(entry: Entry, kind: str, now: int) -> float:
    """Worth by size, form and age; with experts, the size is the geometric mean of all and active ones."""
    worth = sqrt(entry.parameters * (entry.active or entry.parameters))
    return float(worth * KEEPS.get(kind, 1.0) * AGEING ** ((now - _months(entry.released)) / 12))


def _why(entry: Entry, best: Estimate, tried: list[Estimate]) -> str:
    if best.verdict != "fits":
        return f"{best.why}, even in {best.kind}" if best is not tried[0] else best.why
    words = f"It needs about {gib(best.need)} in {best.kind}"
    first = tried[0]
    if best is not first:
        slower = f"at most {first.tokens_per_s:.1f} tokens/s" if first.verdict == "fits" else "no room"
        words += f", where {first.kind} has {slower}"
    if best.tokens_per_s:
        words += f"; at most {best.tokens_per_s:.1f} tokens/s"
    return f"{words}; {entry.strengths}"


def _months(released: str) -> int:
    year, _, month = released.partition("-")
    return int(year) * 12 + int(month or 1)
