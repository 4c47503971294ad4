"""Where files lie that clients brought: whole ones by their hash, unfinished ones beside them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from engine import paths
from engine.files import put_into, sync_folder
from engine.parcels.names import is_hash, tidy, wrong
from engine.protocol.errors import EngineError, fault
from engine.protocol.parcels import FILE_LIMIT, PART, HasFile, Parcel, PutPart

RESERVE = 1 << 30
"""Bytes of the disk that stay free for everything else."""
UNFINISHED = 7 * 86400.0
"""Seconds for which a file that came in part is kept."""
UNUSED = 60 * 86400.0
"""Seconds for which a whole one is kept that no run refers to."""
BLOCK = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT}
_INCOMING = "incoming"


def depot_dir() -> Path:
    """The folder, 0700; raises EngineError `depot_unwritable`."""
    folder = paths.data_dir() / "parcels"
    try:
        (folder / _INCOMING).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return folder


def look(command: HasFile) -> Parcel:
    """How much of a file is here. Raises EngineError `parcel_wrong`."""
    _check(command.sha256, command.size)
    whole = _whole(command.sha256, command.name, command.size)
    if whole is not None:
        return Parcel(command.sha256, command.size, str(whole))
    return Parcel(command.sha256, _held(_part(command.sha256), command.size))


def put(command: PutPart) -> Parcel:
    """Take one part. Raises EngineError `parcel_wrong`, `parcel_damaged`, `disk_full`, `depot_unwritable`."""
    _check(command.sha256, command.size)
    whole = _whole(command.sha256, command.name, command.size)
    if whole is not None:
        return Parcel(command.sha256, command.size, str(whole))
    part = _part(command.sha256)
    held = _held(part, command.size)
    if command.offset != held:
        return Parcel(command.sha256, held)
    end = held + len(command.data)
    if end > command.size or len(command.data) > PART:
        raise wrong("A part is longer than its file, or than a part may be")
    try:
        _require_room(command.size - held)
        put_into(part, command.data, held)
    except OSError as error:
        raise _unwritten(error, command.size - held) from error
    if end < command.size:
        return Parcel(command.sha256, end)
    return Parcel(command.sha256, end, str(_complete(part, command)))


def path_of(sha256: str) -> Path | None:
    """The file of this hash, if it is here whole."""
    return _whole(sha256, "", None) if is_hash(sha256) else None


def drop(sha256: str) -> None:
    """Forget a whole file."""
    if is_hash(sha256):
        shutil.rmtree(depot_dir() / sha256, ignore_errors=True)


def forget(used: Iterable[str]) -> int:
    """Drop what is old and lies on none of the `used` paths; returns how many files went."""
    folder, now, gone = depot_dir(), time.time(), 0
    for part in (folder / _INCOMING).iterdir():
        if now - part.stat().st_mtime > UNFINISHED:
            part.unlink(missing_ok=True)
            gone += 1
    kept = {Path(path).parent.name for path in used if path.startswith(f"{folder}/")}
    for place in folder.iterdir():
        old = is_hash(place.name) and now - place.stat().st_mtime > UNUSED
        if old and place.name not in kept:
            shutil.rmtree(place, ignore_errors=True)
            gone += 1
    return gone


def digest(path: Path, size: int | None = None) -> str:
    """SHA-256 of a file, or of its first `size` bytes. Raises OSError."""
    found, left = hashlib.sha256(), size
    with open(path, "rb") as file:
        while data := file.read(BLOCK if left is None else min(BLOCK, left)):
            found.update(data)
            if left is not None:
                left -= len(data)
    return found.hexdigest()


def _check(sha256: str, size: int) -> None:
    if not is_hash(sha256):
        raise wrong("A file is named by the 64 hex digits of its SHA-256")
    if not 0 <= size <= FILE_LIMIT:
        raise fault(
            "parcel_too_large",
            f"The file has {size / (1 << 30):.1f} GiB; {FILE_LIMIT >> 30} GiB are the most",
            remedy="Copy it there by other means, and name it by its path there",
        )


def _whole(sha256: str, name: str, size: int | None) -> Path | None:
    """The file by its hash, under this name too; None while it is not here whole.

    One of another `size` was spoilt here, and goes.
    """
    folder = depot_dir() / sha256
    try:
        names = sorted(each.name for each in folder.iterdir() if not each.name.startswith("."))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unwritable(folder, error) from error
    if not names:
        return None
    if size is not None and (folder / names[0]).stat().st_size != size:
        shutil.rmtree(folder, ignore_errors=True)
        return None
    wanted = folder / (tidy(name) if name else names[0])
    with contextlib.suppress(OSError):
        os.utime(folder)
    if wanted.name not in names:
        with contextlib.suppress(FileExistsError):
            os.link(folder / names[0], wanted)
    return wanted


def _part(sha256: str) -> Path:
    return depot_dir() / _INCOMING / f"{sha256}.part"


def _held(part: Path, size: int) -> int:
    """Bytes of the part that are here; more than the whole file has cannot be right, and go."""
    try:
        held = part.lstat().st_size
    except FileNotFoundError:
        return 0
    if held > size:
        part.unlink(missing_ok=True)
        return 0
    return held


def _complete(part: Path, command: PutPart) -> Path:
    """Judge the whole file by its hash, and put it in place."""
    try:
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        if digest(part) != command.sha256:
            part.unlink(missing_ok=True)
            raise fault(
                "parcel_damaged",
                f"{tidy(command.name)} did not arrive as it was",
                "Its SHA-256 is another one: it was changed while it was sent, or damaged on the way",
                "Send it again",
                retryable=True,
            )
        folder = depot_dir() / command.sha256
        folder.mkdir(mode=0o700, exist_ok=True)
        os.replace(part, folder / tidy(command.name))
        sync_folder(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise _unwritable(part, error) from error
    return folder / tidy(command.name)


def _require_room(need: int) -> None:
    free = shutil.disk_usage(depot_dir()).free - RESERVE
    if free < need:
        raise _full(need, max(0, free))


def _unwritten(error: OSError, need: int) -> EngineError:
    return _full(need, 0) if error.errno in _FULL else _unwritable(depot_dir(), error)


def _full(need: int, free: int) -> EngineError:
    return fault(
        "disk_full",
        f"The disk has no room: {_mib(need)} are still to come, {_mib(free)} may be used",
        f"{RESERVE >> 30} GiB stay reserved for everything else",
        "Free some space there, then send it again: what came is kept",
        retryable=True,
    )


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.1f} MiB"


def _unwritable(path: Path, error: OSError) -> EngineError:
    return fault(
        "depot_unwritable",
        f"{path} cannot be written",
        error.strerror or str(error),
        "Make the data folder writable",
    )
