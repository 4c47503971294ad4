"""Names in a folder, for a path that is typed on another machine."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from itertools import islice

from engine.protocol.parcels import FOLDER_MOST, FolderEntry, FolderPage, ListFolder

LOOKED_AT = 50_000
"""Entries of one folder that are looked at."""
CLOSED = ("/proc", "/sys", "/dev", "/run")
"""The kernel's own; reading there can wait, or do something."""


def names(command: ListFolder) -> FolderPage:
    """What the typed path could become. Never raises; blocks on the disk."""
    head, slash, start = command.typed.rpartition("/")
    if not slash or not command.typed.startswith(("/", "~/")) or start.startswith("."):
        return FolderPage()
    try:
        folder = os.path.realpath(os.path.expanduser(f"{head}/"))
        if any(folder == closed or folder.startswith(f"{closed}/") for closed in CLOSED):
            return FolderPage()
        fitting = _fitting(folder, start.lower(), folders=command.folders)
        found = heapq.nsmallest(FOLDER_MOST + 1, fitting, key=lambda each: (each.name.lower(), each.name))
    except (OSError, ValueError):
        return FolderPage()
    return FolderPage(tuple(found[:FOLDER_MOST]), len(found) > FOLDER_MOST)


def _fitting(folder: str, start: str, *, folders: bool) -> Iterator[FolderEntry]:
    with os.scandir(folder) as entries:
        for entry in islice(entries, LOOKED_AT):
            name = entry.name
            if name.startswith(".") or not name.lower().startswith(start) or not name.isprintable():
                continue
            try:
                if entry.is_dir():
                    yield FolderEntry(name, True)
                elif not folders and entry.is_file():
                    yield FolderEntry(name, False, entry.stat().st_size)
            except OSError:
                continue
