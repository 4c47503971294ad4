"""What the chart shows now: the drawn runs' lines over the window, and their values at the crosshair.

Lines are kept while nothing of them changed, so that a step of one run costs that run's line only.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.api import runs
from tui.curve import Curve
from tui.format import seconds, size, tokens
from tui.glyphs import Range
from tui.overlay import (
    LOWER_IS_BETTER,
    METRICS,
    Axis,
    Column,
    Series,
    at_place,
    columns,
    extent,
    metrics_of,
    series_of,
    smoothed,
)
from tui.run_picks import Picks
from tui.run_values import loss, plain_number
from tui.state import EngineState
from tui.widgets.run_lines import steps_shown

_KEPT = 400
"""Lines and columns that are kept at most."""
NO_CURVE = Curve()


class Line(NamedTuple):
    """One run's line."""

    run: runs.RunInfo
    raw: Series
    smooth: Series
    number: int
    """Of its letter; -1 where it is alone."""

    @property
    def shown(self) -> Series:
        """The line that its values are read from."""
        return self.smooth if self.smooth.xs else self.raw


class Reading(NamedTuple):
    """A run's value at the crosshair, or its newest one."""

    line: Line
    value: float | None
    change: float | None
    """Against the first run; None for the first itself."""
    best: float | None
    """Its lowest value; None where lower is not better."""


class RunView:
    """The runs that are drawn, as the picks say. One a screen."""

    def __init__(self, engine: EngineState, picks: Picks) -> None:
        self._engine, self.picks = engine, picks
        self._kept: dict[tuple[object, ...], tuple[tuple[int, int], object]] = {}
        self.drawn: list[runs.RunInfo] = []
        self.axis: Axis = "step"

    def follow(self, engine: EngineState, here: runs.RunInfo | None) -> None:
        """Show these from now on."""
        self._engine = engine
        self.drawn = self.picks.drawn(here, engine.runs)
        self.axis = self.picks.axis_of(len(self.drawn))

    def curve(self, run: runs.RunInfo) -> Curve:
        """A run's points as far as they were read."""
        return self._engine.curves.get(run.id, NO_CURVE)

    def metrics(self) -> list[str]:
        """What the drawn runs can be drawn by."""
        return metrics_of(self.curve(run) for run in self.drawn)

    def lines(self) -> list[Line]:
        """The lines of the metric that is shown; a run without one is there with an empty line."""
        return [self._line(run) for run in self.drawn]

    def full(self) -> Range:
        """The whole x axis. By steps it grows by halves, so that it stands still while a run goes on."""
        if self.axis == "step":
            spans = [steps_shown(run, self.curve(run).last) for run in self.drawn]
            return min((low for low, _ in spans), default=0.0), max((high for _, high in spans), default=1.0)
        low, high = extent(self.series(run, "loss") for run in self.drawn)
        return (0.0 if self.axis == "time" else low), high

    def x(self) -> Range:
        """The stretch of the axis that is shown."""
        low, high = self.full()
        start, end = self.picks.window
        return low + (high - low) * start, low + (high - low) * end

    def series(self, run: runs.RunInfo, metric: str) -> Series:
        """A run's values by any metric along the axis shown."""
        curve = self.curve(run)
        key = (run.id, metric, self.axis)
        found = self._remembered(key, curve)
        if not isinstance(found, Series):
            found = self._remember(key, curve, series_of(curve, metric, self.axis))
        assert isinstance(found, Series)
        return found

    def columns_of(self, line: Line, width: int, *, smooth: bool) -> list[Column | None]:
        """A line's columns over the window."""
        picks, x, curve = self.picks, self.x(), self.curve(line.run)
        key = (line.run.id, picks.metric, self.axis, picks.log, smooth and picks.smooth, width, x)
        found = self._remembered(key, curve)
        if not isinstance(found, list):
            found = columns(line.smooth if smooth else line.raw, width, x, log=picks.log)
            self._remember(key, curve, found)
        return found

    def readings(self) -> list[Reading]:
        """Each run's value at the crosshair, or its last, and how far it is from the first run's."""
        found: list[Reading] = []
        first: float | None = None
        lower = self.picks.metric in LOWER_IS_BETTER
        for line in self.lines():
            value = self._value(line)
            change = None if first is None or value is None or not found else value - first
            numbers = [each for each in line.raw.ys if each == each] if lower else []
            found.append(Reading(line, value, change, min(numbers, default=None)))
            first = value if len(found) == 1 else first
        return found

    def move_cross(self, by: int, width: int) -> None:
        """The crosshair by columns; from nowhere it begins at the end. At an edge the window goes along."""
        low, high = self.x()
        one = (high - low) / max(1, width)
        start, end = self.full()
        at = self.picks.cross if self.picks.cross is not None else high + (one if by < 0 else 0)
        at = min(end, max(start, at + by * one))
        if self.axis == "step":  # a step at least, and a whole one
            whole = round(at)
            if self.picks.cross is not None and whole == round(self.picks.cross):
                whole += 1 if by > 0 else -1
            at = min(end, max(start, float(whole)))
        self.picks.cross = at
        self._keep_in_sight(at)

    def _keep_in_sight(self, at: float) -> None:
        (low, high), (start, end) = self.x(), self.full()
        beyond = at - high if at > high else at - low if at < low else 0.0
        if beyond and end > start:
            left, right = self.picks.window
            wide, share = right - left, beyond / (end - start)
            left = min(1 - wide, max(0.0, left + share))
            self.picks.window = left, left + wide

    def _value(self, line: Line) -> float | None:
        if not line.shown.xs:
            return None
        xs = line.shown.xs
        at = self.picks.cross if self.picks.cross is not None else xs[-1]
        slack = (xs[-1] - xs[0]) / max(1, len(xs) - 1)
        if at > xs[-1] + slack or at < xs[0] - slack:
            return None  # it was not there yet, or not any more
        found = at_place(line.shown, at)
        return None if found is None else found[1]

    def _line(self, run: runs.RunInfo) -> Line:
        raw = self.series(run, self.picks.metric)
        smooth = Series((), ())
        if self.picks.smooth and self.picks.metric != "eval":
            key, curve = (run.id, self.picks.metric, self.axis, self.picks.smooth), self.curve(run)
            found = self._remembered(key, curve)
            if not isinstance(found, Series):
                found = self._remember(key, curve, Series(raw.xs, smoothed(raw.ys, self.picks.smooth)))
            assert isinstance(found, Series)
            smooth = found
        return Line(run, raw, smooth, self.picks.chosen.get(run.id, -1))

    def _remembered(self, key: tuple[object, ...], curve: Curve) -> object:
        stamp, found = self._kept.get(key, ((-1, -1), None))
        return found if stamp == _stamp(curve) else None

    def _remember(self, key: tuple[object, ...], curve: Curve, found: object) -> object:
        if len(self._kept) >= _KEPT:
            self._kept.clear()
        self._kept[key] = (_stamp(curve), found)
        return found


def _stamp(curve: Curve) -> tuple[int, int]:
    """Another one as soon as there is another point."""
    return curve.last + len(curve.dots), len(curve.evals)


def metric_words(metric: str) -> str:
    """A metric as people read it."""
    return METRICS.get(metric, metric.replace("_", " ").replace("/", " "))


def value_words(metric: str, found: float | None) -> str:
    """A value of a metric: `1.82`, `2e-4`, `1,204`, `6.9 G`; `–` for none."""
    if found is None:
        return "–"
    if found != found:
        return "NaN"
    if metric == "memory":
        return size(int(found))
    if metric in ("loss", "eval"):
        return loss(found)
    if metric == "speed":
        return f"{found:,.0f}" if found >= 10 else f"{found:.1f}"
    return plain_number(found)


def change_words(metric: str, change: float | None) -> str:
    """`+0.07`, `−0.01`, `±0`; empty for the first run."""
    if change is None:
        return ""
    words = f"{abs(change):.2f}" if metric in ("loss", "eval") else value_words(metric, abs(change))
    if metric in ("loss", "eval") and float(words) == 0 and change:
        words = f"{abs(change):.3f}"
    if words in ("0", "0.00", "0.000"):
        return "±0"
    return ("−" if change < 0 else "+") + words


def place_words(axis: Axis, at: float) -> str:
    """Where the crosshair stands: `step 214`, `epoch 1.3`, `12k tokens`, `4 min 5 s`."""
    match axis:
        case "epoch":
            return f"epoch {at:.2f}"
        case "tokens":
            return f"{tokens(round(at))} tokens"
        case "time":
            return seconds(at)
        case _:
            return f"step {round(at):,}"
