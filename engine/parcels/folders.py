"""Names in a folder, and a file by its path, for what is typed on another machine."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from engine.plain_files import not_attached, open_plain
from engine.protocol.parcels import (
    FOLDER_MOST,
    PART,
    FolderEntry,
    FolderPage,
    ListFolder,
    NamedPart,
    ReadNamed,
)

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
        if _closed(folder):
            return FolderPage()
        fitting = _fitting(folder, start.lower(), folders=command.folders)
        found = heapq.nsmallest(FOLDER_MOST + 1, fitting, key=lambda each: (each.name.lower(), each.name))
    except (OSError, ValueError):
        return FolderPage()
    return FolderPage(tuple(found[:FOLDER_MOST]), len(found) > FOLDER_MOST)


def read(command: ReadNamed) -> NamedPart:
    """A part of a file. Raises EngineError `not_attached`; blocks on the disk."""
    path = Path(os.path.expanduser(command.path))
    if not path.is_absolute() or command.offset < 0:
        raise not_attached(command.path, "is no whole path; begin it with / or ~/")
    with open_plain(path, path.name) as (file, size):
        if _closed(os.path.realpath(path)):
            raise not_attached(path.name, "belongs to the kernel")
        file.seek(command.offset)
        return NamedPart(file.read(PART), size)


def _closed(path: str) -> bool:
    return any(path == closed or path.startswith(f"{closed}/") for closed in CLOSED)


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
