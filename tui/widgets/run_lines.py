"""How a run looks: its mark, its chart, its numbers, and its phases on a time axis."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

from textual.content import Content

from engine.api import runs
from tui.curve import Curve
from tui.format import percent, seconds, shorten
from tui.glyphs import Range, bar, chart, place
from tui.state import EngineState
from tui.widgets.lines import line, name, spread

MARKS: dict[runs.RunState, tuple[str, str]] = {
    "queued": ("·", "$thought"),
    "running": ("▶", "$accent"),
    "paused": ("⏸", "$thought"),
    "done": ("✓", "$accent"),
    "failed": ("✗", "$warning"),
    "stopped": ("■", "$thought"),
}
EVAL = "◆"
TICK = "╵"
MARKED: tuple[runs.Phase, ...] = ("load", "first step", "train", "eval")
"""Phases with a tick; reading the data is short, and a save follows each evaluation."""


def shown_run(engine: EngineState, now: float | None = None) -> runs.RunInfo | None:
    """The run that trains or waits, else the one that ended last, if that was today."""
    active = engine.active_run()
    if active is not None:
        return active
    ended = [run for run in engine.runs.values() if run.ended]
    newest = max(ended, key=lambda run: run.ended, default=None)
    if newest is None or time.localtime(newest.ended)[:3] != time.localtime(now)[:3]:
        return None
    return newest


def number(loss: float | None) -> str:
    """A loss as people read it: `1.82`, `0.061`, `–` for none, `NaN` for what is not a number."""
    if loss is None:
        return "–"
    if not math.isfinite(loss):
        return "NaN"
    return f"{loss:.2f}" if loss >= 0.1 else f"{loss:.3f}"


def standing(run: runs.RunInfo) -> str:
    """Where a run stands, in words."""
    if run.state == "running":
        if run.phase in ("train", "eval", "first step") and run.steps:
            return percent(run.step / run.steps)
        return {"waiting": "waits for the model", "data": "reads the data", "load": "sets up"}.get(
            run.phase, "saves" if run.phase == "save" else run.phase
        )
    if run.state == "queued" and run.place:
        return f"{run.place}. in line"
    if run.state == "paused" and run.error is not None:
        return "needs you"
    return {"park": "parked", "yield": "lent out"}.get(run.pause, run.state)


def steps_shown(run: runs.RunInfo, last: int) -> Range:
    """The steps that a chart spans: all of them, or as large a half of a half … as is begun."""
    going = run.state in ("running", "queued", "paused")
    end = float(max(run.steps if going else 0, last, 2))
    while run.state == "running" and end / 2 >= max(last, 8):
        end /= 2
    return 1, max(2, end)


def loss_range(curve: Curve) -> Range:
    """From a little below the lowest loss, or 0 where that is near, to the highest."""
    values = [dot.loss for dot in curve.dots] + [mark.loss for mark in curve.evals]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    return (0.0 if low < high / 4 else low - (high - low) * 0.08), high


def drawn(
    line_points: Sequence[tuple[float, float]],
    eval_points: Sequence[tuple[float, float]],
    width: int,
    height: int,
    x: Range,
    y: Range,
    style: str = "$accent",
) -> list[Content]:
    """A braille curve with a mark of its own for each evaluation."""
    rows = chart(line_points, width, height, x, y)
    marks = set(place(eval_points, width, height, x, y)) if width > 0 and height > 0 else set()
    painted = []
    for at, row in enumerate(rows):
        pieces: list[str | tuple[str, str]] = [
            (EVAL, "$foreground") if (at, column) in marks else (cell, style)
            for column, cell in enumerate(row)
        ]
        painted.append(line(*pieces))
    return painted


def loss_chart(run: runs.RunInfo, curve: Curve, width: int, height: int) -> list[Content]:
    """Loss by step."""
    dots = [(float(dot.step), dot.loss) for dot in curve.dots]
    evals = [(float(mark.step), mark.loss) for mark in curve.evals]
    style = "$accent" if run.state == "running" else "$thought"
    return drawn(dots, evals, width, height, steps_shown(run, curve.last), loss_range(curve), style)


def run_section(engine: EngineState, width: int, height: int) -> list[Content]:
    """RUN in the right pane: `height` rows of chart and the numbers below. Empty without a run."""
    run = shown_run(engine)
    if run is None:
        return []
    curve = engine.curves.get(run.id, Curve())
    mark, style = MARKS[run.state]
    title = shorten(name(run.name), max(6, width - 8 - len(standing(run))))
    head = line((" RUN ", "$thought"), (mark, style), " ", (title, "bold"))
    lines = [spread(head, line((f"{standing(run)} ", "$thought")), width)]
    if curve.dots or run.state == "running":
        lines += [line("  ") + row for row in loss_chart(run, curve, max(0, width - 3), height)]
    if run.loss is not None:
        left = line(("  loss ", "$thought"), (number(run.loss), "bold"))
        right = line((f"{EVAL} eval ", "$thought"), number(run.eval_loss), " ")
        lines.append(spread(left, right if run.eval_loss is not None else line(""), width))
    return lines + _progress(engine, run, width)


def _progress(engine: EngineState, run: runs.RunInfo, width: int) -> list[Content]:
    if run.state == "running" and run.steps:
        eta = engine.etas.get(run.id)
        words = f"step {run.step:,} / {run.steps:,}"
        left = seconds(eta) + " left" if eta is not None else ""
        return [
            line("  ", (bar(run.step / run.steps, max(0, width - 3)), "$accent")),
            spread(line("  ", words), line((f"{left} ", "$thought")), width),
        ]
    if run.state == "failed" and run.error is not None:
        return [line((f"  {name(run.error.title)}", "$warning")).truncate(width, ellipsis=True)]
    if run.state == "queued":
        place = f", {run.place}. in line" if run.place > 1 else ""
        return [line((f"  waits for its turn{place}", "$thought"))]
    took = seconds(run.took) if run.ended and run.started else ""
    return [spread(line(("  step ", "$thought"), f"{run.step:,}"), line((f"{took} ", "$thought")), width)]


# --- a time axis ------------------------------------------------------------------------------


def phase_marks(marks: Sequence[runs.PhaseMark], width: int, span: Range) -> str:
    """`╵load ╵train   ╵eval`: a tick where a phase begins, with its name where there is room."""
    start, end = span
    if end <= start or width <= 0:
        return ""
    ticks: dict[int, str] = {}
    trains = False
    for mark in marks:
        back = mark.phase == "train" and trains  # the way back from an evaluation
        if start <= mark.at <= end and mark.phase in MARKED and not back:
            ticks[min(width - 1, int((mark.at - start) / (end - start) * width))] = mark.phase
        trains = trains or mark.phase == "train"
    return named_ticks(ticks, width)


def named_ticks(ticks: Mapping[int, str], width: int) -> str:
    """A tick in each of these columns, with its word where there is room, each word once."""
    row, named = [" "] * width, set()
    places = [*sorted(ticks), width]
    for place_, after in zip(places, places[1:], strict=False):
        row[place_] = TICK
        word = ticks[place_]
        if word not in named and place_ + len(word) < after + (after == width):
            row[place_ + 1 : place_ + 1 + len(word)] = word
            named.add(word)
    return "".join(row[:width])


def memory_peak(curve: Curve) -> tuple[int, str]:
    """Highest bytes resident over the run, and the phase in which; (0, "") without marks."""
    best = (0, "")
    for mark, after in zip(curve.marks, curve.marks[1:], strict=False):
        if after.peak > best[0]:
            best = (after.peak, mark.phase)
    return best
