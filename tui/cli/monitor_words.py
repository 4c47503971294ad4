"""`qwill monitor --explain`: what "shared memory" means here, and on other machines."""

from __future__ import annotations

import argparse
import asyncio
import textwrap

from engine.api import DEFINITION_HEADER, DEFINITIONS, Definition, Here, shared_here
from tui.cli import machine_samples, output

WIDTH = 100
INDENT = 20


def run(args: argparse.Namespace) -> int:
    """Print it. Starts no engine."""
    sample, _ = asyncio.run(machine_samples.one())
    here = shared_here(sample)
    if args.json:
        rows = [row._asdict() | {"here": row.id in here.rows} for row in DEFINITIONS]
        output.say_json({"rows": list(here.rows), "lines": list(here.lines), "definitions": rows})
        return 0
    for line in explained(here):
        print(line)
    return 0


def explained(here: Here) -> list[str]:
    """Sentences on this machine, then the table, its rows that hold here marked."""
    lines = [wrapped for line in here.lines for wrapped in textwrap.wrap(output.line(line), WIDTH)]
    for row in DEFINITIONS:
        lines += ["", _title(row, here), *_cells(row)]
    return lines


def _title(row: Definition, here: Here) -> str:
    if row.id not in here.rows:
        return f"  {row.platform}"
    return f"▸ {row.platform}  (this machine)"


def _cells(row: Definition) -> list[str]:
    """A line or two for each column but the first."""
    lines = []
    cells = (row.shared, row.used, row.ceiling, row.beside)
    for name, cell in zip(DEFINITION_HEADER[1:], cells, strict=True):
        if cell:
            start = f"    {name:<{INDENT - 4}}"
            lines += textwrap.wrap(
                cell, WIDTH, initial_indent=start, subsequent_indent=" " * INDENT, break_long_words=False
            )
    return lines
