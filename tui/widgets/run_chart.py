"""Curves of the selected runs, or of the one under the cursor, and what shares their axis."""

from __future__ import annotations

import math
from bisect import bisect_left

from textual.content import Content

from engine.api import runs
from tui.format import seconds, shorten, size
from tui.glyphs import Range
from tui.overlay import METRICS, Column, best_so_far, columns, gaps, scale_of
from tui.overlay_cells import Canvas, bits, colour, filled, letter, row_of, runs_of, spark
from tui.run_view import (
    Line,
    Reading,
    RunView,
    change_words,
    metric_words,
    place_words,
    value_words,
)
from tui.state import State
from tui.widgets.lines import line, name, spread
from tui.widgets.run_health import finding_lines, sample_lines
from tui.widgets.run_lines import EVAL, MARKED, memory_peak, named_ticks
from tui.widgets.run_painted import RunPainted

SCALE = 7
"""Columns of the numbers to the left."""
LESS = "◇"
"""An evaluation that is no better than one before it."""
GAP = "×"
"""A value that is no number."""
SMALL = ("rate", "grad", "speed", "memory")
"""The small charts of a run's page."""


class RunChart(RunPainted):
    """The curves, and below them memory and phases on the same axis."""

    DEFAULT_CSS = """
    RunChart {
        width: 1fr;
        height: 1fr;
        min-height: 4;
        background: $background;
    }
    """

    def __init__(self, state: State, view: RunView) -> None:
        super().__init__(state)
        self.view = view
        self.whole_page = False
        """Whether it has all the room: then a run's other numbers stand below."""
        self.told_beside = True
        """Whether the legend stands beside it."""

    @property
    def columns_wide(self) -> int:
        """Columns that the curves have."""
        return max(1, self.size.width - SCALE - 2)

    def lines(self, width: int, height: int) -> list[Content]:
        """A rule with the numbers, the curves with their scale, and what stands below."""
        view, drawn = self.view, self.view.drawn
        if not drawn:
            return []
        readings = view.readings()
        rule = self._rule(readings, width)
        curves = [view.curve(run) for run in drawn]
        if not any(curve.dots for curve in curves):
            waits = any(not curve.whole and run.started for run, curve in zip(drawn, curves, strict=True))
            words = "reading the log …" if waits else "no step yet"
            return [rule, line((f"{'':>{SCALE}} {words}", "$thought"))]
        room = max(1, width - SCALE - 2)
        tail = self._below(room, height)
        if len(drawn) > 1 and not self.told_beside and height >= 14:
            tail += legend(view, readings, width, min(len(readings), height // 3))
        return [rule, *self._curves(room, max(1, height - 1 - len(tail))), *tail][:height]

    # --- the rule ---------------------------------------------------------------------------

    def _rule(self, readings: list[Reading], width: int) -> Content:
        picks, extra = self.view.picks, self._manner()
        right = line((f" {extra} ", "$thought")) if extra else line("")
        if len(readings) == 1:
            left = self._rule_of_one(readings[0], width)
        else:
            where = f" {place_words(self.view.axis, picks.cross)} ┆" if picks.cross is not None else ""
            left = line(("── ", "$rule"), (metric_words(picks.metric), "bold"), (where, "$thought"))
            for reading in readings:
                piece = _piece(reading, picks.metric)
                if left.cell_length + piece.cell_length + right.cell_length + 8 > width:
                    left += line((" …", "$thought"))
                    break
                left += piece
        if left.cell_length + right.cell_length + 4 > width:
            right = line("")
        dashes = "─" * max(0, width - left.cell_length - right.cell_length - 3)
        return (left + line((f" {dashes}", "$rule")) + right + line(("──", "$rule"))).truncate(width)

    def _rule_of_one(self, reading: Reading, width: int) -> Content:
        run, picks = reading.line.run, self.view.picks
        title = shorten(name(run.name), max(8, width // 3))
        where = f" {place_words(self.view.axis, picks.cross)} ┆" if picks.cross is not None else ""
        words = f"{where} {metric_words(picks.metric)} {value_words(picks.metric, reading.value)}"
        if picks.metric == "loss" and run.eval_loss is not None and picks.cross is None:
            words += f"  {EVAL} eval {value_words('eval', run.eval_loss)}"
        return line(("── ", "$rule"), (title, "bold"), (words, "$thought"))

    def _manner(self) -> str:
        """How the curves are drawn, as far as it is not the usual way."""
        picks = self.view.picks
        low, high = picks.window
        parts = [f"by {self.view.axis}"] if len(self.view.drawn) > 1 or picks.axis else []
        parts += [f"smooth {picks.smooth:g}"] if picks.smooth else []
        parts += ["log"] if picks.log else []
        parts += [f"zoom {1 / (high - low):.3g}×"] if high - low < 1 else []
        return " · ".join(parts)

    # --- the curves -------------------------------------------------------------------------

    def _curves(self, width: int, height: int) -> list[Content]:
        view, picks = self.view, self.view.picks
        lines = view.lines()
        raw = [view.columns_of(each, 2 * width, smooth=False) for each in lines]
        smooth = [view.columns_of(each, 2 * width, smooth=True) if each.smooth.xs else [] for each in lines]
        evals = self._evals() if len(lines) == 1 and picks.metric == "loss" else []
        scale = scale_of([*raw, *([Column(v, v, v, v)] for _, v, _ in evals)], log=picks.log)
        canvas = Canvas(width, height)
        if not any(column for each in raw for column in each):
            return self._empty(width, height)
        self._trace(canvas, lines, raw, smooth, scale)
        x = view.x()
        for at, value, best in evals:
            column = _column(at, x, width)
            if column is not None:
                canvas.put(column, row_of(value, height, scale), EVAL if best else LESS, "$foreground")
        if picks.cross is not None:
            column = _column(picks.cross, x, width)
            if column is not None:
                canvas.upright(column, "$thought")
        return self._labelled(canvas, scale)

    def _trace(
        self,
        canvas: Canvas,
        lines: list[Line],
        raw: list[list[Column | None]],
        smooth: list[list[Column | None]],
        scale: Range,
    ) -> None:
        """The raw lines behind all smoothed ones, the cursor's run in front, letters last."""
        alone, found = len(lines) == 1, []
        front = sorted(range(len(lines)), key=lambda at: lines[at].run.id == self._run)
        for at in [at for at in front if smooth[at]]:
            canvas.draw(bits(raw[at], canvas.height, scale), "$thought 50%")
        for at in front:
            cells = bits(smooth[at] or raw[at], canvas.height, scale)
            style = self._style(lines[at], alone=alone)
            canvas.draw(cells, style)
            for column in gaps(lines[at].raw, canvas.width, self.view.x()):
                canvas.put(column, 0, GAP, "$warning")
            found.append((at, cells, style))
        for at, cells, style in found:
            if not alone:
                sign = letter(lines[at].number)
                canvas.name(cells, sign, f"bold {style}", shift=lines[at].number)
        self._best(canvas, lines, scale)

    def _style(self, shown: Line, *, alone: bool) -> str:
        if not alone:
            return colour(shown.run.id)
        return "$accent" if self.view.picks.metric in METRICS else "$foreground"

    def _best(self, canvas: Canvas, lines: list[Line], scale: Range) -> None:
        """Of evaluations: a mark at each that is better than all before it."""
        picks, x = self.view.picks, self.view.x()
        if picks.metric != "eval":
            return
        for each in lines:
            for at, value, best in zip(each.raw.xs, each.raw.ys, best_so_far(each.raw.ys), strict=True):
                column = _column(at, x, canvas.width)
                shown = _logged(value) if picks.log else value
                if column is not None and math.isfinite(shown):
                    sign = EVAL if best else LESS
                    style = colour(each.run.id) if len(lines) > 1 else "$foreground"
                    if not canvas.rows[row_of(shown, canvas.height, scale)][column][0].isalnum():
                        canvas.put(column, row_of(shown, canvas.height, scale), sign, style)

    def _evals(self) -> list[tuple[float, float, bool]]:
        """Where each evaluation of the one run stands, and whether it was the best so far."""
        series = self.view.series(self.view.drawn[0], "eval")
        (low, high), log = self.view.x(), self.view.picks.log
        values = [_logged(value) if log else value for value in series.ys]
        found = zip(series.xs, values, best_so_far(values), strict=True)
        return [(at, y, best) for at, y, best in found if low <= at <= high and math.isfinite(y)]

    def _labelled(self, canvas: Canvas, scale: Range) -> list[Content]:
        (low, high), height = scale, canvas.height
        every = 4 if height >= 12 else 2 if height >= 5 else max(1, height - 1)
        rows = []
        for at, row in enumerate(canvas.rows):
            value = high - (high - low) * (at + 0.5) / height
            label = self._label(value) if at % every == 0 and math.isfinite(value) else ""
            rows.append(line((f"{label:>{SCALE}} ", "$thought"), *runs_of(row)))
        return rows

    def _label(self, value: float) -> str:
        metric = self.view.picks.metric
        if self.view.picks.log:
            value = 10**value
        elif metric in METRICS:
            value = max(0.0, value)
        if metric in ("loss", "eval") and value >= 0.005:
            return f"{value:.2f}"
        return shorten(value_words(metric, value), SCALE)

    def _empty(self, width: int, height: int) -> list[Content]:
        """In place of curves: why there is none."""
        what = f"{metric_words(self.view.picks.metric)} by {self.view.axis}"
        words = f"No run here has {what}. m and x go on to the next."
        if self.view.picks.log:
            words = "Nothing above 0 to show on a log axis. l takes it back."
        gap = [line("")] * ((height - 1) // 2)
        return [*gap, line((shorten(f"{'':>{SCALE}} {words}", width + SCALE), "$thought"))] + [line("")] * (
            height - 1 - len(gap)
        )

    # --- below ------------------------------------------------------------------------------

    def _below(self, width: int, height: int) -> list[Content]:
        """What shares the axis: memory, a page's other numbers, phases, and the axis itself."""
        view = self.view
        run = next((run for run in view.drawn if run.id == self._run), view.drawn[0])
        lines = []
        page = self.whole_page and len(view.drawn) == 1 and height >= 14
        for metric in SMALL if page else ("memory",):
            row = self._small(run, metric, width) if height >= 6 and metric != view.picks.metric else None
            if row is not None:
                lines.append(row)
        if self.whole_page and not self.told_beside:
            told = [*finding_lines(run, width)[:3], *sample_lines(view.curve(run), width)[:5]]
            lines = [*told[: max(0, height // 3)], *lines]
        ticks = self._ticks(run, width)
        if ticks.strip():
            lines.append(line((f"{'':>{SCALE}} {ticks}", "$thought")))
        if height >= 8:
            lines.append(self._axis(run, width))
        return lines

    def _small(self, run: runs.RunInfo, metric: str, width: int) -> Content | None:
        series = self.view.series(run, metric)
        if not series.xs:
            return None
        label = {"grad": "grad", "speed": "tok/s"}.get(metric, metric)
        last = value_words(metric, series.ys[-1])
        tail = f" {last}" if self.whole_page else ""
        row = spark(filled(columns(series, width, self.view.x())))
        if tail:
            row = row[: width - len(tail)] + tail
        return line((f"{label:>{SCALE}} {row}", "$thought"))

    def _ticks(self, run: runs.RunInfo, width: int) -> str:
        """`╵load ╵train   ╵eval`: where each phase begins on the axis shown."""
        curve, (low, high) = self.view.curve(run), self.view.x()
        ticks: dict[int, str] = {}
        trains = False
        for mark in curve.marks:
            back = mark.phase == "train" and trains  # the way back from an evaluation
            at = self._where(run, mark)
            if low <= at <= high and (mark.phase in MARKED or mark.phase == "paused") and not back:
                ticks[_column(at, (low, high), width) or 0] = mark.phase
            trains = trains or mark.phase == "train"
        return named_ticks(ticks, width)

    def _where(self, run: runs.RunInfo, mark: runs.PhaseMark) -> float:
        """Where a phase begins on the axis; -1 where that is not known."""
        curve = self.view.curve(run)
        if self.view.axis == "time":
            return mark.at - (curve.marks[0].at if curve.marks else mark.at)
        if self.view.axis == "step":
            return float(mark.step)
        series = self.view.series(run, "loss")
        at = bisect_left(curve.dots, mark.step, key=lambda dot: dot.step)
        return series.xs[at] if mark.step and at < len(series.xs) else -1.0

    def _axis(self, run: runs.RunInfo, width: int) -> Content:
        peak, phase = memory_peak(self.view.curve(run))
        words = f"peak {size(peak)} in {phase}" if peak else ""
        low, high = self.view.x()
        ends = (
            (seconds(low) if low else "0 s", seconds(high))
            if self.view.axis == "time"
            else (
                place_words(self.view.axis, low),
                place_words(self.view.axis, high),
            )
        )
        room = max(0, width - len(ends[0]) - len(ends[1]) - 1)
        start = line((f"{ends[0]}{words if len(words) < room else '':^{room}}", "$thought"))
        return line(" " * (SCALE + 1)) + spread(start, line((ends[1], "$thought")), width)


def legend(view: RunView, readings: list[Reading], width: int, height: int) -> list[Content]:
    """A line a run: its letter, its name, its value and the change against the first; the rest counted."""
    metric, lines = view.picks.metric, []
    room = height if len(readings) <= height else height - 1
    names = max((len(reading.line.run.name) for reading in readings), default=0)
    for reading in readings[: max(0, room)]:
        run = reading.line.run
        left = line(
            "  ",
            (letter(max(0, reading.line.number)), f"bold {colour(run.id)}"),
            (f" {name(run.name)}", "$foreground"),
        )
        best = (
            f"  best {value_words(metric, reading.best)}"
            if reading.best is not None and width >= names + 31
            else ""
        )
        right = line(
            (value_words(metric, reading.value), "bold"),
            (f"{change_words(metric, reading.change):>8}{best} ", "$thought"),
        )
        lines.append(spread(left, right, width))
    if len(readings) > len(lines) and height > 0:
        lines.append(line((f"  and {len(readings) - len(lines)} more", "$thought")))
    return lines


def _piece(reading: Reading, metric: str) -> Content:
    """`  a legal-r16 1.97 (−0.01)` on the rule."""
    run = reading.line.run
    change = change_words(metric, reading.change)
    return line(
        ("  ", ""),
        (letter(max(0, reading.line.number)), f"bold {colour(run.id)}"),
        (f" {shorten(name(run.name), 18)} ", "$thought"),
        value_words(metric, reading.value),
        (f" ({change})" if change else "", "$thought"),
    )


def _column(at: float, x: Range, width: int) -> int | None:
    """The column of a place on the axis; None outside the window."""
    low, high = x
    if at < low or at > high or high <= low:
        return None
    return min(width - 1, int((at - low) / (high - low) * width))


def _logged(value: float) -> float:
    return math.log10(value) if value > 0 else math.nan
