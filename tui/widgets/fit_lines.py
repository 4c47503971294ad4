"""The fit of a model as lines: one bar of its parts against the memory, and what each piece stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from tui.fit import DTYPES, SIGNS
from tui.format import gib, percent, plural, size
from tui.model_rows import Row
from tui.widgets.lines import Piece, line

if TYPE_CHECKING:
    from engine.api import Estimate
    from tui.forecast import Rules

PIECES = (
    ("weights", "█", "$accent"),
    ("cache", "▓", "$accent"),
    ("working", "▒", "$accent"),
    ("overhead", "░", "$accent"),
)
"""Each part's cell, so that the bar reads without colour."""
FREE, KEPT = ("·", "$thought"), ("╱", "$thought")
EDGE = ("┃", "$foreground")
"""Where the free memory ends, in a bar that is longer."""
GRAVE = {"no", "alone", "tight", "never"}


def fit_lines(row: Row, rules: Rules, width: int, *, choices: bool) -> list[Content]:
    """A verdict, the bar and its legend; `choices`: whether the form can be changed by keys here."""
    found = row.forecast
    if found is None:
        return []
    made = [_verdict(row, found, rules)]
    facts = rules.facts
    if facts is not None:
        made.append(fit_bar(found, facts.free + _held(row), found.reserve, width))
    made += flow(_legend(found, choices=choices), width)
    return made


def fit_bar(found: Estimate, free: int, kept: int, width: int) -> Content:
    """`█████▓▒░······╱╱`: what it takes of the memory that is free, and what is kept free of it."""
    whole = max(free, found.need, 1)
    scale = found.need / max(1, found.parts.total)
    edge = round(free / whole * width) if found.need > free else width
    cells: list[Piece] = []
    counted = 0.0
    for label, cell, style in PIECES:
        part = getattr(found.parts, label)
        counted += part * scale
        end = min(width, max(round(counted / whole * width), len(cells) + (1 if part else 0)))
        cells += [(cell, style if place < edge else "$warning") for place in range(len(cells), end)]
    shut = min(width - len(cells), round(kept / whole * width))
    cells += [FREE] * (width - len(cells) - shut) + [KEPT] * shut
    if edge < width:
        cells[edge] = EDGE
    return line(*cells)


def flow(parts: list[list[Piece]], width: int) -> list[Content]:
    """Pieces side by side in as many columns as there is room for."""
    contents = [line(*part) for part in parts]
    widest = max((content.cell_length for content in contents), default=0) + 2
    count = max(1, (width + 2) // widest)
    rows = []
    for start in range(0, len(contents), count):
        row = line("")
        for content in contents[start : start + count]:
            row += content.pad_right(widest - content.cell_length)
        rows.append(row)
    return rows


def _verdict(row: Row, found: Estimate, rules: Rules) -> Content:
    """`✓ fits   4.5 of 14.0 G free RAM`."""
    verdict, facts = row.verdict, rules.facts
    sign = "● loaded" if verdict == "held" else SIGNS.get(verdict, "–")
    style = "$warning" if verdict in GRAVE else "$accent"
    words = f"{'' if found.whole else 'at least '}{size(found.need)}"
    if verdict == "held":
        words = f"{size(_held(row))} held"
        words += f" · {gib(facts.free)} G {facts.pool} free" if facts is not None else ""
    elif facts is not None:
        words += f" of {gib(facts.free)} G free {facts.pool}"
    return line((sign, f"bold {style}"), "   ", (words, "$foreground"))


def _held(row: Row) -> int:
    """What a loaded model holds already is room for its own need."""
    return row.model.memory if row.model is not None and row.model.state == "ready" else 0


def _legend(found: Estimate, *, choices: bool) -> list[list[Piece]]:
    """Every piece of the bar with its size, and the keys that change it."""
    about = {
        "weights": f"as {DTYPES.get(found.kind, found.kind)}",
        "cache": f"for {plural(found.context, 'token')}",
        "working": "to read a prompt",
        "overhead": "",
    }
    keys = {"weights": "q", "cache": "+ -"} if choices else {}
    made: list[list[Piece]] = []
    for label, cell, style in PIECES:
        count = getattr(found.parts, label)
        if not count:
            continue
        part: list[Piece] = [
            (cell, style),
            (f" {label:<9}", "$thought"),
            (f"{size(count):>6}", "$foreground"),
        ]
        part.append((f"  {about[label]}" if about[label] else "", "$thought"))
        if label in keys:
            part.append((f"  {keys[label]}", "$accent"))
        made.append(part)
    kept: list[Piece] = [KEPT, (f" {'kept free':<9}", "$thought")]
    kept += [(f"{size(found.reserve):>6}", "$foreground"), ("  f" if choices else "", "$accent")]
    made.append(kept)
    if found.need != found.parts.total:
        share = percent(abs(found.correction - 1))
        more = "more" if found.correction > 1 else "less"
        made.append(
            [("  ", ""), ("learned  ", "$thought"), (f" {share} {more}, as measured here", "$foreground")]
        )
    return made
