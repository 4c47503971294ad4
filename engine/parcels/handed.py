"""What is handed out of a folder that the engine owns: its plain files, named with size and hash."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.parcels.depot import digest
from engine.parcels.names import DEPTH, is_plain, is_taken
from engine.protocol.errors import EngineError, fault
from engine.protocol.parcels import PART, KeptFile

MOST = 500
"""Files of one owner that are listed at most."""
OWN = ("info.json", "run.toml")
"""Of a run's folder: what travels as RunInfo does not travel as a file."""
BELOW = ("adapter", "model")
"""Folders of a run's whose files travel; checkpoints stay where they can be resumed."""
REMEMBERED = 256
_known: dict[tuple[str, int, int], str] = {}
_lock = threading.Lock()


def of_run(folder: Path) -> tuple[KeptFile, ...]:
    """The log of a run, and what it made. Raises OSError."""

    def wanted(name: str) -> bool:
        head, slash, _ = name.partition("/")
        return is_taken(name) and (head in BELOW if slash else name not in OWN)

    return _listing(folder, wanted)


def of_export(folder: Path) -> tuple[KeptFile, ...]:
    """All plain files of an export. Raises OSError."""
    return _listing(folder, is_plain)


def read(folder: Path, name: str, offset: int, limit: int) -> bytes:
    """At most PART bytes of a file below a folder. Raises EngineError `file_unknown`.

    Nothing is read through a symbolic link, by an absolute name or from a device.
    """
    if not is_plain(name) or offset < 0:
        raise _unknown(name)
    try:
        path = folder.resolve(strict=True) / name
        if path.resolve(strict=True) != path:
            raise _unknown(name)
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise _unknown(name)
            return os.pread(handle, max(0, min(limit, PART)), offset)
        finally:
            os.close(handle)
    except (OSError, ValueError, OverflowError) as error:
        raise _unknown(name) from error


def _listing(folder: Path, wanted: Callable[[str], bool]) -> tuple[KeptFile, ...]:
    found = []
    for name, entry in _walk(folder, ""):
        if wanted(name):
            found.append(_described(name, entry))
            if len(found) == MOST:
                break
    return tuple(sorted(found, key=lambda each: each.name))


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Regular files, links left out, not deeper than a name may be."""
    with os.scandir(folder / prefix) as entries:
        for entry in entries:
            name = f"{prefix}{entry.name}"
            if entry.is_file(follow_symlinks=False):
                yield name, entry
            elif entry.is_dir(follow_symlinks=False) and name.count("/") < DEPTH - 1 and is_plain(name):
                yield from _walk(folder, f"{name}/")


def _described(name: str, entry: os.DirEntry[str]) -> KeptFile:
    status = entry.stat(follow_symlinks=False)
    key = (entry.path, status.st_mtime_ns, status.st_size)
    with _lock:
        found = _known.get(key)
    if found is None:
        found = digest(Path(entry.path), status.st_size)
        with _lock:
            while len(_known) >= REMEMBERED:
                del _known[next(iter(_known))]
            _known[key] = found
    return KeptFile(name, status.st_size, found)


def _unknown(name: str) -> EngineError:
    return fault("file_unknown", f"There is no file {name[:80]!r} to be read", remedy="List the files again")
