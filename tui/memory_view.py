"""Memory over time as it is looked at: tracks over one axis, its window and its crosshair. Pure.

A track is the engine's history or a run's record; the axis is seconds since its beginning, so that two
tracks lie over each other from their first second on.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import zip_longest
from typing import Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from engine.api import commands, memory, runs
from tui.curve import Curve, Dot, Moment
from tui.glyphs import Range
from tui.memory_points import phase_at
from tui.overlay import Column, Series, panned, zoomed

Strip = Literal["memory", "speed", "loss"]
STRIPS: tuple[Strip, ...] = ("memory", "speed", "loss")
FIRST_SPAN = 60
"""Seconds of an axis at first."""
_SILENT: tuple[runs.Phase, ...] = ("waiting", "end")


class PhasePeak(NamedTuple):
    """The highest of one phase, over all times that it came."""

    phase: str
    peak: int
    times: int = 1


class Track(msgspec.Struct):
    """What is drawn as one line."""

    name: str
    run: str = ""
    """Its id; empty is the engine."""
    points: list[Moment] = msgspec.field(default_factory=list)
    """Oldest first."""
    marks: list[runs.PhaseMark] = msgspec.field(default_factory=list)
    holdings: tuple[memory.Holding, ...] = ()
    """What the bytes were at the peak."""
    pool: str = ""
    """Id of the pool that was watched; empty where only the engine's RAM is known."""
    live: bool = False
    """Whether more of it is to come."""
    peaks: list[PhasePeak] | None = None
    """What `phases` has found; it is asked for more than once a drawing."""

    @property
    def start(self) -> float:
        """Unix time at which its axis begins."""
        firsts = [mark.at for mark in self.marks[:1]] + [point.at for point in self.points[:1]]
        return min(firsts, default=0.0)

    @property
    def end(self) -> float:
        """Unix time of its newest point."""
        return self.points[-1].at if self.points else self.start

    def peak(self) -> tuple[int, str]:
        """The highest that was held, and in which phase; (0, "") of an empty one."""
        best = max(self.points, key=lambda point: point.high, default=None)
        found = (best.high, phase_at(self.marks, best.at)) if best is not None else (0, "")
        phase = max(self.phases(), key=lambda each: each.peak, default=None)
        return (phase.peak, phase.phase) if phase is not None and phase.peak >= found[0] else found

    def phases(self) -> list[PhasePeak]:
        """What each phase took at its highest, in the order in which they first came."""
        if self.peaks is None:
            self.peaks = self._phases()
        return self.peaks

    def _phases(self) -> list[PhasePeak]:
        found: dict[str, PhasePeak] = {}
        for mark, after in zip_longest(self.marks, self.marks[1:]):
            if mark.phase in _SILENT:
                continue
            seen = [point.high for point in self._between(mark.at, after.at if after else math.inf)]
            peak = max([after.peak if after else 0, *seen])
            old = found.get(mark.phase, PhasePeak(mark.phase, 0, 0))
            found[mark.phase] = PhasePeak(mark.phase, max(old.peak, peak), old.times + 1)
        return [each for each in found.values() if each.peak]

    def _between(self, start: float, end: float) -> list[Moment]:
        first, last = (bisect_left(self.points, at, key=lambda point: point.at) for at in (start, end))
        return self.points[first + 1 : last]  # the first may reach back into the phase before


# --- where tracks come from -----------------------------------------------------------------------


class Record(NamedTuple):
    """A page as it was read."""

    points: list[Moment] = []
    marks: tuple[runs.PhaseMark, ...] = ()
    holdings: tuple[memory.Holding, ...] = ()
    pool: str = ""


def record_of(page: commands.MemoryPage) -> Record:
    """A page as it is kept: a drawing a second must not take it apart anew."""
    return Record([_moment(point) for point in page.points], page.marks, page.holdings, page.pool)


def track_of(name: str, run: str, record: Record, curve: Curve | None, live: Sequence[Moment]) -> Track:
    """The engine's record with what came since, or a run's; of a run without one, what its log tells."""
    points, marks = list(record.points), list(record.marks)
    if curve is not None:
        marks += newer_marks(curve.marks, marks, record.pool)
        points = points or [_of_dot(dot) for dot in curve.dots if dot.memory]
    newest = points[-1].at if points else -math.inf
    points += [moment for moment in live if moment.at > newest]
    return Track(name, run, points, marks, record.holdings, record.pool)


def newer_marks(
    told: Sequence[runs.PhaseMark], known: Sequence[runs.PhaseMark], pool: str
) -> list[runs.PhaseMark]:
    """Those of a run's log that are not known yet. Its peaks are of RAM: of another pool they say nothing."""
    last = known[-1].at if known else -math.inf
    newer = [mark for mark in told if mark.at > last]
    return newer if pool in ("", "ram") else [replace(mark, memory=0, peak=0) for mark in newer]


def _moment(point: commands.MemoryPoint) -> Moment:
    most = point.most or point.ours
    return Moment(
        point.at, point.ours, point.least, most, point.used, point.tokens_per_s, point.step, point.loss
    )


def _of_dot(dot: Dot) -> Moment:
    loss = dot.loss if dot.loss == dot.loss else None
    return Moment(dot.at, dot.memory, speed=dot.speed, step=dot.step, loss=loss)


def in_its_time(run: runs.RunInfo, moments: Sequence[Moment]) -> list[Moment]:
    """The moments at which a run was under way."""
    if not run.started:
        return []
    end = run.ended if run.state in runs.ENDED_STATES and run.ended else math.inf
    return [moment for moment in moments if run.started <= moment.at <= end]


# --- what is shown of them --------------------------------------------------------------------------


class MemoryView:
    """One or two tracks over their axis: seconds since each one's beginning."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        """The one that is looked at, and the one that lies over it."""
        self.window: Range = (0.0, 1.0)
        """Shares of the whole axis that are shown."""
        self.cross: float | None = None
        """Where the crosshair stands, in seconds."""

    def full(self) -> Range:
        """The whole axis. While a track goes on it grows by steps, so that it stands still meanwhile."""
        longest = max((track.end - track.start for track in self.tracks), default=0.0)
        if not any(track.live for track in self.tracks):
            return 0.0, max(1.0, longest)
        span = FIRST_SPAN
        while span < longest:
            # 60, 90, 120, 180, 240, 360 …
            span = span * 3 // 2 if (span // 30).bit_count() == 1 else span * 4 // 3
        return 0.0, float(span)

    def x(self) -> Range:
        """The stretch of the axis that is shown."""
        low, high = self.full()
        start, end = self.window
        return low + (high - low) * start, low + (high - low) * end

    def zoom(self, by: float) -> None:
        """Around the crosshair, else around what is newest."""
        _, high = self.full()
        newest = max((track.end - track.start for track in self.tracks), default=high)
        at = self.cross if self.cross is not None else newest
        start, end = self.window
        self.window = zoomed(self.window, by, min(end, max(start, at / high)))

    def pan(self, by: float) -> None:
        """By a share of what is shown."""
        self.window = panned(self.window, by)

    def whole(self) -> None:
        """All of the axis, without a crosshair."""
        self.window, self.cross = (0.0, 1.0), None

    def move_cross(self, by: int, columns: int) -> None:
        """By columns; from nowhere it begins at the newest point. At an edge the window goes along."""
        (low, high), (_, end) = self.x(), self.full()
        one = (high - low) / max(1, columns)
        newest = max((track.end - track.start for track in self.tracks), default=high)
        at = self.cross + by * one if self.cross is not None else min(newest, high)
        self.cross = at = min(newest, max(0.0, at))
        beyond = at - high if at > high else min(0.0, at - low)
        if beyond and end > 0:
            left, right = self.window
            start = min(1 - (right - left), max(0.0, left + beyond / end))
            self.window = start, start + right - left

    def reading(self, track: Track) -> Moment | None:
        """What was measured nearest to the crosshair, or last; None where the track was not there then."""
        if not track.points:
            return None
        if self.cross is None:
            return track.points[-1]
        at = track.start + self.cross
        after = bisect_left(track.points, at, key=lambda point: point.at)
        near = track.points[max(0, after - 1) : after + 1]
        slack = (track.end - track.start) / max(1, len(track.points)) + 1
        found = min(near, key=lambda point: abs(point.at - at))
        return found if abs(found.at - at) <= 2 * slack else None


def area_of(track: Track, width: int, x: Range) -> list[Column | None]:
    """What was held in each column: the least and the most, and what it came in and went out with."""
    found: list[Column | None] = [None] * max(0, width)
    (low, high), points, start = x, track.points, track.start
    if width <= 0 or high <= low:
        return found
    first, last = (bisect_left(points, start + at, key=lambda point: point.at) for at in x)
    scale = width / (high - low)
    for point in points[first : last + 1]:
        at = min(width - 1, int((point.at - start - low) * scale))
        held, least, most = point.held, point.low, point.high
        known = found[at]
        if known is not None:
            least, most = min(least, int(known.low)), max(most, int(known.high))
        found[at] = Column(least, most, known.first if known is not None else held, held)
    return found


def series_of(track: Track, strip: Strip) -> Series:
    """A track's speed or loss; empty where it has none."""
    start, points = track.start, track.points
    values = [_value(point, strip) for point in points]
    if all(value != value for value in values):
        return Series((), ())
    return Series([point.at - start for point in points], values)


def used_of(track: Track) -> Series:
    """What everybody used of the same memory."""
    start, points = track.start, [point for point in track.points if point.used]
    return Series([point.at - start for point in points], [float(point.used) for point in points])


def strips_of(tracks: Sequence[Track]) -> list[Strip]:
    """What can be drawn of these: memory always."""
    points = [point for track in tracks for point in track.points]
    speed, loss = any(point.speed > 0 for point in points), any(point.loss is not None for point in points)
    return [strip for strip in STRIPS if strip == "memory" or (speed if strip == "speed" else loss)]


def round_top(highest: float, *, binary: bool = True) -> float:
    """A round number above the highest one, of bytes in binary units, so that the scale is read easily and
    stands still."""
    if highest <= 0:
        return 1.0
    unit = 2.0 ** (10 * int(math.log2(highest) // 10)) if binary else 1.0
    shown = highest / unit
    step = 10.0 ** math.floor(math.log10(shown))
    factor = next((each for each in (1, 1.2, 1.6, 2, 2.5, 3, 4, 5, 6, 8) if each * step >= shown), 10)
    return factor * step * unit


def _value(point: Moment, strip: Strip) -> float:
    if strip == "speed":
        return point.speed if point.speed > 0 else math.nan
    return point.loss if point.loss is not None else math.nan
