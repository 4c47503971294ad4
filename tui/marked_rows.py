"""The marked replies as files of training rows: fetched a page at a time, written whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from engine.api import commands, data_dir, fault, write_atomic

SHAPES = {
    "messages": ("Chats to learn from", "good and edited replies, each with its conversation"),
    "preference": ("Preferences", "prompt, chosen, rejected: edits, votes, good beside bad versions"),
    "kto": ("Good and bad", "prompt, completion, label: every mark on its own"),
}
"""By the name of a shape of rows: what it is called, and what is in it."""
Request = Callable[[Any], Awaitable[Any]]
"""Asks the engine."""


async def fetch(request: Request, shape: str, told: Callable[[int], None] | None = None) -> list[str]:
    """All rows of a shape, one JSON object each; `told` hears how many there are so far.

    Raises what `request` raises.
    """
    rows: list[str] = []
    while True:
        page: commands.MarkedRows = await request(commands.ExportMarked(shape=shape, offset=len(rows)))
        rows += page.rows
        if told is not None:
            told(len(rows))
        if not page.more or not page.rows:
            return rows


def exports_dir() -> Path:
    """The folder `exports` beside the chats; made when it is asked for. Raises EngineError."""
    folder = data_dir() / "exports"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return folder


def free_path(stem: str) -> Path:
    """`exports/STEM-2026-11-21.jsonl`, or with a number where that is taken. Raises EngineError."""
    day = time.strftime("%Y-%m-%d")
    folder = exports_dir()
    path, number = folder / f"{stem}-{day}.jsonl", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{day}-{number}.jsonl"
    return path


def write(path: Path, rows: list[str]) -> None:
    """One row a line, as a file that was not there before. Raises EngineError `export_failed`."""
    if path.exists():
        raise fault(
            "export_failed",
            f"{path} is there already",
            "Nothing was written over it",
            "Choose another name",
        )
    try:
        write_atomic(path, ("\n".join(rows) + "\n").encode())
    except OSError as error:
        raise _unwritable(path, error) from error


def keep(stem: str, rows: list[str]) -> Path:
    """Write rows into `exports`, unless the newest file of today holds just these. Raises EngineError."""
    content = ("\n".join(rows) + "\n").encode()
    day = time.strftime("%Y-%m-%d")
    for path in exports_dir().glob(f"{stem}-{day}*.jsonl"):
        if path.stat().st_size == len(content) and path.read_bytes() == content:
            return path
    path = free_path(stem)
    write(path, rows)
    return path


def _unwritable(path: Path, error: OSError) -> Exception:
    return fault(
        "export_failed",
        f"{path} could not be written",
        error.strerror or str(error),
        "Choose a folder that is there and that you may write to",
    )
