"""A table of runs as Markdown, CSV or LaTeX, to paste elsewhere. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any, Literal, get_args

from engine.api import runs
from tui.run_diff import differing, label, values_of
from tui.run_values import shown, value
from tui.text import clean_name

TableForm = Literal["markdown", "csv", "latex"]
FORMS: tuple[TableForm, ...] = get_args(TableForm)
RESULTS = ("state", "steps", "eval", "best", "loss", "time", "peak", "size", "forgetting")
"""Columns after the name and the settings that differ; those that no run has are left out."""
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "−": "$-$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
_FORMULA = ("=", "+", "-", "@")
"""What a spreadsheet would take for a formula at a cell's start."""


def rows_of(found: Sequence[runs.RunInfo], *, exact: bool = False) -> list[list[str]]:
    """A header and a row a run: its name, the settings that differ, and what came of it.

    `exact` writes numbers in full, for programs.
    """
    differences = differing(found)
    told = [each.key for each in differences]
    results = [
        key for key in RESULTS if key not in told and any(value(run, key) is not None for run in found)
    ]
    header = ["run", *(each.label for each in differences), *(label(key) for key in results), "tags"]
    rows = [header]
    for at, run in enumerate(found):
        settings = values_of(run)
        row = [run.name or run.id]
        row += [_exact(settings[each.key]) if exact else each.values[at] for each in differences]
        row += [_exact(value(run, key)) if exact else shown(key, value(run, key)) for key in results]
        rows.append([*row, " ".join(run.tags)])
    if not any(row[-1] for row in rows[1:]):
        rows = [row[:-1] for row in rows]
    return [[clean_name(cell) for cell in row] for row in rows]


def text_of(found: Sequence[runs.RunInfo], form: TableForm) -> str:
    """The table in one of FORMS; it ends with a newline."""
    return written(rows_of(found, exact=form == "csv"), form)


def written(rows: list[list[str]], form: TableForm) -> str:
    """Clean cells, the first row a header, in one of FORMS; it ends with a newline."""
    return {"csv": _csv, "markdown": _markdown, "latex": _latex}[form](rows)


def _markdown(rows: list[list[str]]) -> str:
    cells = [[cell.replace("\\", "\\\\").replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def _csv(rows: list[list[str]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([[_harmless(cell) for cell in row] for row in rows])
    return out.getvalue()


def _harmless(cell: str) -> str:
    """A name that a spreadsheet would run is kept as a text; a number stays a number."""
    if not cell.startswith(_FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def _latex(rows: list[list[str]]) -> str:
    def escaped(row: list[str]) -> str:
        return " & ".join("".join(_LATEX.get(sign, sign) for sign in cell) for cell in row) + r" \\"

    lines = [r"\begin{tabular}{" + "l" * len(rows[0]) + "}", r"\hline", escaped(rows[0]), r"\hline"]
    lines += [escaped(row) for row in rows[1:]]
    return "\n".join([*lines, r"\hline", r"\end{tabular}"]) + "\n"


def _exact(found: Any) -> str:
    """A value in full."""
    if found is None:
        return ""
    if isinstance(found, tuple):
        return " ".join(map(str, found))
    return repr(found) if isinstance(found, float) else str(found)
