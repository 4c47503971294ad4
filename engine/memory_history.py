"""Memory over time in a bounded list: the newest second by second, the older the coarser. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

from msgspec.structs import replace

from engine.protocol.memory import Holding
from engine.protocol.memory_history import MemoryPage, MemoryPoint
from engine.protocol.runs import PhaseMark
from engine.protocol.specs import MonitorSample

FRESH = 600
"""The newest points, which stay as they came."""
OLDER = 1400
"""Older ones at most; a page of both is well below a line of the protocol."""
MARKS = 600
"""Marks of a page at most."""
STILL_SECONDS = 30.0
STILL_SHARE = 0.01
"""While nothing works a point is kept so often, or where the memory changed by this share."""


class History:
    """Points as they come; of the older ones, where they grow too many, each two neighbours become one."""

    def __init__(self) -> None:
        self._older: list[MemoryPoint] = []
        self._fresh: list[MemoryPoint] = []
        self._each = 1
        """How many points as they came an older one stands for."""
        self.pool = ""
        self.holdings: tuple[Holding, ...] = ()
        """What the bytes were at the peak."""
        self.peak = 0
        """The highest `most` that was remembered."""

    @property
    def points(self) -> list[MemoryPoint]:
        """Oldest first."""
        return self._older + self._fresh

    def add(self, point: MemoryPoint) -> None:
        """One more second."""
        self._fresh.append(point)
        if len(self._fresh) < FRESH + self._each:
            return
        self._older.append(reduce(joined, self._fresh[: self._each]))
        del self._fresh[: self._each]
        if len(self._older) >= OLDER:
            self._older = halved(self._older)
            self._each *= 2

    def peaks(self, most: int, held: Sequence[Holding]) -> bool:
        """Remember what the bytes were if this is the highest so far; says whether it is."""
        if most <= self.peak:
            return False
        self.peak, self.holdings = most, tuple(held)
        return True

    def page(self, since: float, marks: Iterable[PhaseMark] = ()) -> MemoryPage:
        """Points and marks after `since`; of all marks as many as a page takes."""
        points = tuple(point for point in self.points if point.at > since)
        newer = tuple(mark for mark in marks if mark.at > since)
        return MemoryPage(points, fitting(newer), self.pool, self.holdings)


def halved(points: Sequence[MemoryPoint]) -> list[MemoryPoint]:
    """Each two neighbours as one; an odd last one stays."""
    pairs = [joined(first, second) for first, second in zip(points[::2], points[1::2], strict=False)]
    return [*pairs, *points[len(pairs) * 2 :]]


def joined(first: MemoryPoint, second: MemoryPoint) -> MemoryPoint:
    """One point for two stretches in a row; no peak is lost."""
    speeds = [point.tokens_per_s for point in (first, second) if point.tokens_per_s]
    return replace(
        second,
        least=min(first.least, second.least),
        most=max(first.most, second.most),
        tokens_per_s=sum(speeds) / len(speeds) if speeds else 0.0,
        step=second.step or first.step,
        loss=first.loss if second.loss is None else second.loss,
    )


def fitting(marks: Sequence[PhaseMark]) -> tuple[PhaseMark, ...]:
    """So many marks as a page takes: the newest, and before them those with the peak of each phase."""
    if len(marks) <= MARKS:
        return tuple(marks)
    old, new = marks[: len(marks) - MARKS], marks[len(marks) - MARKS :]
    highest: dict[str, int] = {}
    for place, (mark, after) in enumerate(zip(old, marks[1:], strict=False)):
        best = highest.get(mark.phase)
        if best is None or after.peak > marks[best + 1].peak:
            highest[mark.phase] = place
    kept = sorted({place for start in highest.values() for place in (start, start + 1) if place < len(old)})
    return (*(old[place] for place in kept), *new)


def point_of(
    sample: MonitorSample, tokens_per_s: float = 0.0, step: int = 0, loss: float | None = None
) -> tuple[str, MemoryPoint]:
    """(id of the main pool, what a sample says of it). Without pools it is RAM.

    In RAM `ours` is what the engine has resident now: its fair share is some seconds old. How far it swung is
    read off what moves: these bytes in RAM, all that is used in a GPU's memory, where nothing else moves as
    fast as a model.
    """
    pool = sample.pools[0] if sample.pools else None
    used = max(0, sample.ram_total - sample.ram_available)
    key, ours, seen = "engine", sample.engine_rss, sample.engine_rss
    if pool is not None:
        used = used if pool.used is None else pool.used
        if pool.kind != "ram":
            ours = ours if pool.ours is None else pool.ours
            key, seen = pool.id, used
    least = most = ours
    if key in sample.swings:
        swing = sample.swings[key]
        least, most = max(0, ours - max(0, seen - swing.least)), ours + max(0, swing.most - seen)
    point = MemoryPoint(sample.at, used, ours, least, most, tokens_per_s, step, loss)
    return pool.id if pool is not None else "ram", point


def at_most(sample: MonitorSample, pool: str, point: MemoryPoint) -> tuple[Holding, ...]:
    """What the bytes of the main pool were at the highest since the sample before.

    What a short peak has beyond the sample is layers' activations, of a run or of a reply.
    """
    beyond = max(0, point.most - point.ours)
    held = [each for each in sample.holdings if each.pool == pool]
    if not beyond:
        return tuple(held)
    before = sum(each.bytes for each in held if each.part == "activations")
    rest = [each for each in held if each.part != "activations"]
    others = [each for each in rest if each.part == "other"]
    return (
        *(each for each in rest if each.part != "other"),
        Holding("activations", before + beyond, pool=pool),
        *others,
    )


def still(before: MemoryPoint | None, now: MemoryPoint) -> bool:
    """Whether a point while nothing works says no more than the one before."""
    if before is None or abs(now.at - before.at) >= STILL_SECONDS:
        return False
    low, high = min(now.least, before.ours), max(now.most, before.ours)
    return high - low <= STILL_SHARE * before.ours
