"""What came of a race as rows of cells, for the screen, the command line and other programs. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from engine.api import commands, runs
from tui.format import plural, seconds, size
from tui.run_export import TableForm, written
from tui.run_values import loss, plain_number
from tui.text import clean_name

HEADER = ("setting", "eval loss", "verdict", "step", "time", "memory", "adapter", "forgetting", "score")
NUMBERS = (1, 3, 4, 5, 6, 7, 8)
"""Columns that are aligned on the right."""
NONE = "–"


def rows_of(table: commands.RaceTable) -> list[list[str]]:
    """A header, then a row a setting; `score` only where there is a scorer. Cells are clean."""
    rows = [list(HEADER), *(_row(row, table) for row in table.rows)]
    if not table.race.scorer:
        rows = [row[:-1] for row in rows]
    return [[clean_name(cell) for cell in row] for row in rows]


def exact_rows_of(table: commands.RaceTable) -> list[list[str]]:
    """Every number in full and by itself, for programs; empty where there is none."""
    header = ["setting", "seeds", "state", "eval_loss", "spread", "verdict", "step", "steps", "seconds"]
    header += ["memory", "adapter_bytes", "forgetting", "score", "score_spread", "unscored", "runs"]
    rows = [header]
    for row in table.rows:
        cells = [row.setting, len(row.runs), " ".join(row.states), row.eval_loss, row.spread, row.verdict]
        cells += [row.step, row.steps, row.seconds, row.memory, row.adapter_bytes, row.forgetting]
        cells += [row.score, row.score_spread, row.unscored, " ".join(row.runs)]
        rows.append([clean_name("" if cell is None else str(cell)) for cell in cells])
    return rows


def text_of(table: commands.RaceTable, form: TableForm) -> str:
    """The table in one of run_export.FORMS; it ends with a newline."""
    return written(exact_rows_of(table) if form == "csv" else rows_of(table), form)


def headline(table: commands.RaceTable) -> str:
    """What is compared, and how far it is."""
    race = table.race
    parts = [race.expression, plural(len(race.members), "run")]
    states = [state for row in table.rows for state in row.states]
    going = sum(state not in runs.ENDED_STATES for state in states)
    if going:
        parts.append(f"{going} going")
    elif not table.over:
        parts.append("being scored")
    stopped = sum(len(cut.stopped) for cut in race.cuts)
    parts += [f"{plural(stopped, 'setting')} stopped early"] if stopped else []
    return clean_name(" · ".join(parts))


def note(table: commands.RaceTable) -> str:
    """How to read the verdicts, as far as they are there."""
    verdicts = {row.verdict for row in table.rows}
    if "within noise" in verdicts or "worse" in verdicts:
        return "within noise: the means differ by less than the pooled deviation over the seeds."
    if "one seed" in verdicts:
        return "One seed tells nothing of the noise: seeds=3 in the line does."
    if "stopped" in verdicts and len(table.rows) > 1:
        return "Stopped settings had less of the budget, so they are not compared with the best."
    return ""


def _row(row: commands.RaceRow, table: commands.RaceTable) -> list[str]:
    return [
        row.setting,
        _spread(row.eval_loss, row.spread),
        row.verdict or _state(row.states),
        f"{row.step:,}" if row.step in (0, row.steps) else f"{row.step:,} of {row.steps:,}",
        NONE if row.seconds is None else seconds(row.seconds),
        size(row.memory) if row.memory else NONE,
        size(row.adapter_bytes) if row.adapter_bytes else NONE,
        NONE if row.forgetting is None else f"{row.forgetting:+.3f}",
        _score(row),
    ]


def _state(states: Sequence[str]) -> str:
    return next((state for state in ("running", "paused", "queued", "failed") if state in states), states[0])


def _spread(mean: float | None, spread: float | None) -> str:
    if mean is None:
        return NONE
    if spread is None:
        return loss(mean) if mean < 0.1 else f"{mean:.3f}"
    return f"{mean:.3f} ± {spread:.3f}"


def _score(row: commands.RaceRow) -> str:
    if row.score is None:
        return row.unscored or NONE
    told = plain_number(row.score)
    return told if row.score_spread is None else f"{told} ± {plain_number(row.score_spread)}"
