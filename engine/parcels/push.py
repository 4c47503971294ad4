"""Sends a file to an engine by its hash: what it has is not sent, and a cut goes on where it stopped."""

from __future__ import annotations

import asyncio
import hashlib
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

from engine.parcels.names import wrong
from engine.parcels.pacing import TRIES, Asks, Parts, Tell
from engine.protocol.errors import EngineError, fault
from engine.protocol.parcels import HasFile, Parcel, PutPart

BLOCK = 1 << 20
Read = Callable[[int, int], Awaitable[bytes]]
"""The bytes from an offset on, so many of them; none only where none are wanted."""


async def push(asks: Asks, path: Path, tell: Tell, name: str = "") -> Parcel:
    """Answers with where the file lies on the engine's machine. Can be stopped at any await.

    Raises EngineError `file_unreadable`, `disk_full`, `parcel_damaged`, EngineLost.
    """
    size, sha256 = await asyncio.to_thread(_measured, path)

    async def read(offset: int, count: int) -> bytes:
        data = await asyncio.to_thread(_bytes, path, offset, count)
        if count and not data:
            raise _shorter(path)
        return data

    wanted = HasFile(sha256, size, name or path.name)
    return await put_all(asks, wanted, read, lambda done: tell(done, size))


async def put_all(asks: Asks, wanted: HasFile, read: Read, tell: Callable[[int], None]) -> Parcel:
    """Send what the engine lacks of a file, from wherever `read` takes it; it says where to go on.

    Raises EngineError `parcel_wrong` where it never moves, and what `request` raises.
    """
    parcel: Parcel = await asks.request(wanted)
    parts = Parts()
    stuck = 0
    tell(parcel.held)
    while not parcel.path:
        before = parcel.held
        data = await read(before, min(parts.begin(), wanted.size - before))
        parcel = await asks.request(PutPart(wanted.sha256, wanted.size, before, data, wanted.name))
        parts.end()
        stuck = stuck + 1 if parcel.held <= before and not parcel.path else 0
        if stuck > TRIES or not 0 <= parcel.held <= wanted.size:
            raise wrong("It asks for the same part again and again, or for one that does not exist")
        tell(parcel.held)
    return parcel


def _measured(path: Path) -> tuple[int, str]:
    """Size and hash of a regular file. Raises EngineError `file_unreadable`."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe could wait for ever
            raise OSError(21, "It is a folder or a device, not a file")
        found = hashlib.sha256()
        with open(path, "rb") as file:
            while data := file.read(BLOCK):
                found.update(data)
            return file.tell(), found.hexdigest()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _bytes(path: Path, offset: int, limit: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(limit)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError | ValueError) -> EngineError:
    reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
    return fault("file_unreadable", f"{path} cannot be read here", reason, "Check the path")


def _shorter(path: Path) -> EngineError:
    return fault(
        "parcel_damaged",
        f"{path.name} became shorter while it was sent",
        remedy="Send it again once nothing writes to it",
        retryable=True,
    )
