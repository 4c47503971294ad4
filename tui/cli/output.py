"""What the command prints: cleaned lines and tables for people, one line of JSON for programs."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from engine.api import ErrorInfo


def prepare() -> None:
    """Make sure that no character can make a print fail, whatever the locale."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def line(text: str) -> str:
    """Untrusted text as one harmless line."""
    from tui.text import clean_name

    return clean_name(text).strip()


def say(text: str) -> None:
    """One line on stdout, cleaned."""
    print(line(text))


def complain(info: ErrorInfo, *, as_json: bool) -> None:
    """What happened, why and what to do: one line on stderr, or one of JSON on stdout."""
    if as_json:
        say_json({"error": plain(info)})
    else:
        print(f"qwill: {line(info.sentence())}", file=sys.stderr)


def say_json(value: Any) -> None:
    """One line of JSON. On a terminal it is pure ASCII, so that no control character gets through."""
    ascii_only = sys.stdout.isatty() or sys.stdout.encoding.lower() != "utf-8"
    print(json.dumps(value, ensure_ascii=ascii_only))


def plain(value: Any) -> Any:
    """A Struct as plain data with every field, those at their default too."""
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def table(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Rows of cells in columns two spaces apart, the first row a header; `right` aligns numbers."""
    from rich.cells import cell_len

    cells = [[line(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        parts = []
        for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
            gap = " " * (width - cell_len(cell))
            parts.append(gap + cell if column in right else cell + gap)
        print("  ".join(parts).rstrip())
