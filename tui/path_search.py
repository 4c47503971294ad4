"""Paths that could be meant by a beginning: of one folder, and of those below it while there is time."""

from __future__ import annotations

import heapq
import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from tui.format import size
from tui.text import clean_name

MOST = 40
"""Paths found at most."""
PATIENCE = 0.25
"""Seconds spent below the folder that was typed."""
LOOKED_AT = 20_000
"""Entries looked at below the folder that was typed."""
SKIPPED = frozenset(
    ("node_modules", "__pycache__", "venv", "site-packages", "target", "build", "dist", "bower_components")
)
"""Folders that are not gone into unless they are typed; hidden ones are not either."""


@dataclass(frozen=True)
class Found:
    """One path, as it would be typed."""

    text: str
    folder: bool
    about: str = ""


def find(typed: str) -> list[Found]:
    """What `typed` could become, best first. Blocks on the disk: call it in a thread.

    A folder's own entries come first; a name without a slash is looked for below the present folder too.
    """
    head, slash, start = typed.rpartition("/")
    folder = os.path.expanduser(head + slash) or "."
    found = [_found(head + slash + entry.name, entry) for entry in _best(folder, start)]
    if slash or len(start) < 2 or len(found) >= MOST:
        return found
    known = {each.text for each in found}
    below = [_found(path, entry) for path, entry in _below(start.lower()) if path not in known]
    return found + below[: MOST - len(found)]


def _best(folder: str, start: str) -> list[os.DirEntry[str]]:
    """The entries of one folder that begin with `start`, by name, at most MOST."""
    lower = start.lower()

    def fits() -> Iterator[tuple[str, str, os.DirEntry[str]]]:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                shown = start.startswith(".") or not name.startswith(".")
                if shown and name.lower().startswith(lower) and sayable(name):
                    yield name.lower(), name, entry

    try:
        return [entry for _, _, entry in heapq.nsmallest(MOST, fits(), key=lambda each: each[:2])]
    except (OSError, ValueError):
        return []


def _below(wanted: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Files below the present folder with `wanted` in their names, the nearest first."""
    waiting = deque([""])
    until, left = time.monotonic() + PATIENCE, LOOKED_AT
    while waiting:
        prefix = waiting.popleft()
        try:
            with os.scandir(prefix or ".") as entries:
                for entry in entries:
                    left -= 1
                    if left < 0 or time.monotonic() > until:
                        return
                    if entry.name.startswith(".") or not sayable(entry.name):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name not in SKIPPED:
                            waiting.append(f"{prefix}{entry.name}/")
                    elif wanted in entry.name.lower():
                        yield prefix + entry.name, entry
        except OSError:
            continue


def _found(text: str, entry: os.DirEntry[str]) -> Found:
    try:
        if entry.is_dir():
            return Found(f"{text}/", True)
        return Found(text, False, size(entry.stat().st_size) if entry.is_file() else "not a file")
    except OSError:
        return Found(text, False, "cannot be read")


def sayable(name: str) -> bool:
    """Whether the name can be shown and typed as it is."""
    return clean_name(name) == name and name.isprintable() and '"' not in name
