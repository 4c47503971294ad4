"""One run over time: loss with its evaluations, memory under it on the same axis, and the phases."""

from __future__ import annotations

import math

from textual.content import Content

from engine.api import runs
from tui.curve import Curve, Moment
from tui.format import seconds, shorten, size
from tui.glyphs import Range
from tui.widgets.lines import line, name, spread
from tui.widgets.run_lines import (
    EVAL,
    drawn,
    loss_range,
    memory_peak,
    memory_spark,
    number,
    phase_marks,
)
from tui.widgets.run_painted import RunPainted

SCALE = 7
"""Columns of the numbers to the left."""


class RunChart(RunPainted):
    """The curve, and what shares its time axis."""

    DEFAULT_CSS = """
    RunChart {
        width: 1fr;
        height: 1fr;
        min-height: 4;
        background: $background;
    }
    """

    def lines(self, width: int, height: int) -> list[Content]:
        """A rule with the name, the curve with its scale, the memory, the phases and the time."""
        engine = self._state.engine
        run = engine.runs.get(self._run)
        if run is None:
            return []
        curve = engine.curves.get(run.id, Curve())
        rule = _rule(run, curve, width)
        if not curve.dots:
            words = "reading the log …" if not curve.whole and run.started else "no step yet"
            return [rule, line((f"{'':>{SCALE}} {words}", "$thought"))]
        room, span = max(1, width - SCALE - 2), time_span(run, curve)
        tail = _below(curve, room, span, height)
        lines = [rule, *_curve(run, curve, room, max(1, height - 1 - len(tail)), span), *tail]
        return lines[:height]


def time_span(run: runs.RunInfo, curve: Curve) -> Range:
    """Unix times that the chart spans: from the first mark to the last point or mark."""
    ats = [dot.at for dot in (curve.dots[0], curve.dots[-1]) if dot.at]
    ats += [mark.at for mark in curve.marks] + [mark.at for mark in curve.evals if mark.at]
    start, end = min(ats, default=0.0), max(ats, default=1.0)
    return start, max(end, start + 1.0)


def _rule(run: runs.RunInfo, curve: Curve, width: int) -> Content:
    title = shorten(name(run.name), max(8, width // 3))
    words = f" loss {number(run.loss)}"
    if run.eval_loss is not None:
        words += f"  {EVAL} eval {number(run.eval_loss)}"
    left = line(("── ", "$rule"), (title, "bold"), (words, "$thought"), " ")
    return left + line(("─" * max(0, width - left.cell_length), "$rule"))


def _curve(run: runs.RunInfo, curve: Curve, width: int, height: int, span: Range) -> list[Content]:
    scale = loss_range(curve)
    dots = [(dot.at, dot.loss) for dot in curve.dots]
    evals = [(mark.at, mark.loss) for mark in curve.evals]
    rows = drawn(dots, evals, width, height, span, scale)
    low, high = scale
    every = 4 if height >= 12 else 2 if height >= 5 else max(1, height - 1)
    labelled = []
    for at, row in enumerate(rows):
        value = high - (high - low) * (at + 0.5) / height
        label = f"{max(0.0, value):.2f}" if at % every == 0 and math.isfinite(value) else ""
        labelled.append(line((f"{label:>{SCALE}} ", "$thought")) + row)
    return labelled


def _below(curve: Curve, width: int, span: Range, height: int) -> list[Content]:
    """What shares the time axis: memory, phases, and the time itself; less where it is low."""
    moments = [Moment(dot.at, dot.memory) for dot in curve.dots if dot.memory]
    moments += [Moment(int(mark.at), mark.memory) for mark in curve.marks if mark.memory]
    moments.sort()
    lines = []
    peak, phase = memory_peak(curve)
    if moments and height >= 6:
        lines.append(
            line((f"{'memory':>{SCALE}} ", "$thought"), (memory_spark(moments, width, span), "$thought"))
        )
    ticks = phase_marks(curve.marks, width, span)
    if ticks.strip():
        lines.append(line((f"{'':>{SCALE}} {ticks}", "$thought")))
    if height >= 8:
        words = f"peak {size(peak)} in {phase}" if peak else ""
        end = seconds(span[1] - span[0])
        start = line((f"0 s{words:^{max(0, width - len(end) - 4)}}", "$thought"))
        ends = spread(start, line((end, "$thought")), width)
        lines.append(line(" " * (SCALE + 1)) + ends)
    return lines
