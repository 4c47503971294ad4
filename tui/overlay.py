"""Curves of many runs over one axis: what stands in each column, smoothed lines, values at a place. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple, get_args

from tui.curve import Curve, Dot
from tui.glyphs import Range

Axis = Literal["step", "epoch", "tokens", "time"]
AXES: tuple[Axis, ...] = get_args(Axis)
METRICS: dict[str, str] = {
    "loss": "loss",
    "eval": "eval loss",
    "rate": "learning rate",
    "grad": "gradient norm",
    "speed": "tokens/s",
    "memory": "memory",
}
"""What every run can be drawn by, with its words; objectives add names of their own."""
LOWER_IS_BETTER = ("loss", "eval")

_READ: dict[str, Callable[[Dot], float]] = {
    "loss": lambda dot: dot.loss,
    "rate": lambda dot: dot.rate,
    "grad": lambda dot: dot.grad,
    "speed": lambda dot: dot.speed,
    "memory": lambda dot: float(dot.memory),
}
_NAN = float("nan")


class Series(NamedTuple):
    """One line: x never falls, y may be NaN."""

    xs: Sequence[float]
    ys: Sequence[float]


class Column(NamedTuple):
    """What of a line falls into one column: its values' range, and how it comes in and goes out."""

    low: float
    high: float
    first: float
    last: float
    broken: bool = False
    """Whether a value that is no number stands before the first one here: the line is not joined to it."""


def metrics_of(curves: Iterable[Curve]) -> list[str]:
    """The metrics that can be drawn, those that only an objective has last."""
    own = sorted({name for curve in curves for dot in curve.dots[-1:] for name in dot.metrics or ()})
    return [*METRICS, *(name for name in own if name not in METRICS)]


def series_of(curve: Curve, metric: str, axis: Axis) -> Series:
    """A run's line; empty where it has no such number."""
    if metric == "eval":
        return _evals(curve, axis)
    dots = curve.dots
    read = _READ.get(metric)
    if read is None:
        ys = [(dot.metrics or {}).get(metric, _NAN) for dot in dots]
    else:
        ys = [read(dot) for dot in dots]
    if all(value != value or (value == 0 and metric != "loss") for value in ys):
        return Series((), ())
    start = start_of(curve)
    if axis in ("epoch", "tokens") and not place(dots[-1], axis, start):
        return Series((), ())  # its log has none
    return Series(_rising([place(dot, axis, start) for dot in dots]), ys)


def start_of(curve: Curve) -> float:
    """Unix time at which a run began: its first phase, else its first step."""
    ats = [mark.at for mark in curve.marks[:1]] + [dot.at for dot in curve.dots[:1]]
    return min(ats, default=0.0)


def place(dot: Dot, axis: Axis, start: float) -> float:
    """Where a step stands on an axis; time in seconds from the run's start."""
    match axis:
        case "epoch":
            return dot.epoch
        case "tokens":
            return float(dot.tokens)
        case "time":
            return dot.at - start
        case _:
            return float(dot.step)


def smoothed(ys: Sequence[float], weight: float) -> list[float]:
    """Exponential mean, corrected for its start (Adam's correction); `weight` 0 leaves it as it is.

    What is not a finite number stays a gap and does not count.
    """
    mean, scale, found = 0.0, 0.0, []
    for value in ys:
        if not math.isfinite(value):
            found.append(_NAN)
            continue
        mean = weight * mean + (1 - weight) * value
        scale = weight * scale + (1 - weight)
        found.append(mean / scale)
    return found


def columns(series: Series, width: int, x: Range, *, log: bool = False) -> list[Column | None]:
    """Resampled to `width` columns over the range `x`, each with its lowest and highest value.

    With `log` the values are their base 10 logarithms, and what is not above 0 is a gap.
    """
    found: list[Column | None] = [None] * max(0, width)
    low, high = x
    if width <= 0:
        return found
    scale = width / (high - low) if high > low else 0.0
    begin, end = bisect_left(series.xs, low), bisect_right(series.xs, high)
    gap = False
    for index in range(begin, end):
        value = series.ys[index]
        if not math.isfinite(value) or (log and value <= 0):
            gap = True
            continue
        if log:
            value = math.log10(value)
        at = min(width - 1, int((series.xs[index] - low) * scale)) if scale else width // 2
        known = found[at]
        if known is None:
            found[at] = Column(value, value, value, value, gap)
        else:
            low_, high_ = min(known.low, value), max(known.high, value)
            found[at] = Column(low_, high_, known.first, value, known.broken)
        gap = False
    return found


def gaps(series: Series, width: int, x: Range) -> set[int]:
    """Columns in which a value was no finite number."""
    low, high = x
    if width <= 0 or high <= low:
        return set()
    begin, end = bisect_left(series.xs, low), bisect_right(series.xs, high)
    return {
        min(width - 1, int((series.xs[index] - low) / (high - low) * width))
        for index in range(begin, end)
        if not math.isfinite(series.ys[index])
    }


def extent(all_series: Iterable[Series]) -> Range:
    """From the lowest to the highest x; (0, 1) where there is nothing."""
    ends = [(series.xs[0], series.xs[-1]) for series in all_series if series.xs]
    if not ends:
        return 0.0, 1.0
    return min(start for start, _ in ends), max(end for _, end in ends)


def scale_of(lines: Iterable[Sequence[Column | None]], *, log: bool = False) -> Range:
    """The range of all values, with a little room below; from 0 where they come near it."""
    found = [column for line in lines for column in line if column is not None]
    if not found:
        return 0.0, 1.0
    low, high = min(column.low for column in found), max(column.high for column in found)
    if high <= low:
        room = abs(high) * 0.05 or 0.5
        return low - room, high + room
    if not log and 0 <= low < high / 4:
        return 0.0, high
    return low - (high - low) * 0.08, high


def at_place(series: Series, x: float) -> tuple[float, float] | None:
    """The point whose x is nearest, among those that are numbers; None where there is none."""
    if not series.xs:
        return None
    index = bisect_left(series.xs, x)
    before = _numbered(series, range(min(index, len(series.xs)) - 1, -1, -1))
    after = _numbered(series, range(index, len(series.xs)))
    near = [found for found in (before, after) if found is not None]
    return min(near, key=lambda point: abs(point[0] - x), default=None)


def best_so_far(ys: Sequence[float]) -> list[bool]:
    """Whether each value is lower than all before it."""
    best, found = math.inf, []
    for value in ys:
        found.append(value < best)
        best = min(best, value) if value == value else best
    return found


def zoomed(window: Range, by: float, around: float) -> Range:
    """A window over the shares 0 to 1 of an axis, `by` times as wide, that keeps `around` where it is."""
    low, high = window
    wide = min(1.0, max(1 / 1024, (high - low) * by))
    share = (around - low) / (high - low) if high > low else 0.5
    start = min(1 - wide, max(0.0, around - wide * min(1.0, max(0.0, share))))
    return start, start + wide


def panned(window: Range, by: float) -> Range:
    """The window moved by a share of its own width, as far as there is something."""
    low, high = window
    wide = high - low
    start = min(1 - wide, max(0.0, low + by * wide))
    return start, start + wide


def _numbered(series: Series, indices: Iterable[int]) -> tuple[float, float] | None:
    for index in indices:
        if math.isfinite(series.ys[index]):
            return series.xs[index], series.ys[index]
    return None


def _evals(curve: Curve, axis: Axis) -> Series:
    """Evaluations, each where its step stands."""
    if axis in ("step", "time"):
        start = start_of(curve)
        xs = [float(mark.step) if axis == "step" else mark.at - start for mark in curve.evals]
    else:
        steps = [dot.step for dot in curve.dots]
        xs = []
        for mark in curve.evals:
            index = min(len(steps) - 1, bisect_left(steps, mark.step))
            xs.append(place(curve.dots[index], axis, 0.0) if steps else 0.0)
    return Series(_rising(xs), [mark.loss for mark in curve.evals])


def _rising(xs: list[float]) -> list[float]:
    """A clock that was put back does not turn the line round."""
    highest = -math.inf
    for index, value in enumerate(xs):
        highest = max(highest, value)
        xs[index] = highest
    return xs
