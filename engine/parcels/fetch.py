"""Brings an owner's files from an engine into a folder here: verified, whole or not there, resumable."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import AsyncIterator
from pathlib import Path

from engine.files import put_into, sync_folder
from engine.parcels.depot import digest
from engine.parcels.pacing import TRIES, Asks, Parts, Tell, damaged, listing, read
from engine.protocol.errors import EngineError, fault
from engine.protocol.parcels import FileList, KeptFile, Owner


async def fetch(asks: Asks, owner: Owner, of: str, folder: Path, tell: Tell) -> FileList:
    """Files that are there already as they should be stay. Can be stopped at any await, and begun again.

    Raises EngineError `parcel_wrong`, `parcel_damaged`, `disk_full`, `folder_unwritable`, EngineLost.
    """
    left = TRIES
    while True:
        left -= 1
        listed = await listing(asks, owner, of)
        try:
            await _fetch_all(asks, listed, folder, tell)
            return listed
        except EngineError as error:
            if not left or error.info.code != "parcel_damaged":
                raise


async def _fetch_all(asks: Asks, listed: FileList, folder: Path, tell: Tell) -> None:
    total, done = sum(each.size for each in listed.files), 0
    await asyncio.to_thread(_ready, folder, total)
    for each in listed.files:
        target = folder / each.name
        if not await asyncio.to_thread(_is_whole, target, each):
            async for held in _pieces(asks, listed, each, target):
                tell(done + held, total)
            await asyncio.to_thread(_complete, target, each)
        done += each.size
        tell(done, total)


async def _pieces(asks: Asks, listed: FileList, file: KeptFile, target: Path) -> AsyncIterator[int]:
    """Write the file's part beside it, on from what is there of the same content; yields bytes so far."""
    part = _part(target, file)
    held = await asyncio.to_thread(_begun, part, file.size)
    parts = Parts()
    while held < file.size:
        data = await read(asks, listed, file, held, min(parts.begin(), file.size - held))
        await asyncio.to_thread(_append, part, data, held)
        parts.end()
        held += len(data)
        yield held
    if not file.size:
        await asyncio.to_thread(_append, part, b"", 0)


def _part(target: Path, file: KeptFile) -> Path:
    return target.with_name(f".{file.sha256[:16]}.part")


def _ready(folder: Path, need: int) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise _unwritable(folder, error) from error
    if free < need:
        raise fault(
            "disk_full",
            f"{folder} has no room for {need / (1 << 20):,.1f} MiB",
            remedy="Free some space, or choose another folder",
            retryable=True,
        )


def _is_whole(target: Path, file: KeptFile) -> bool:
    try:
        status = target.lstat()
        same_size = stat.S_ISREG(status.st_mode) and status.st_size == file.size
        return same_size and digest(target) == file.sha256
    except OSError:
        return False


def _begun(part: Path, size: int) -> int:
    """Bytes of the part that are here. Raises EngineError `folder_unwritable`."""
    try:
        part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = part.lstat().st_size
        if held > size:
            part.unlink()
        return held if held <= size else 0
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise _unwritable(part.parent, error) from error


def _append(part: Path, data: bytes, offset: int) -> None:
    try:
        put_into(part, data, offset)
    except OSError as error:
        raise _unwritable(part.parent, error) from error


def _complete(target: Path, file: KeptFile) -> None:
    part = _part(target, file)
    try:
        with open(part, "rb+") as opened:
            os.fsync(opened.fileno())
        if digest(part) != file.sha256:
            part.unlink(missing_ok=True)
            raise damaged(file.name)
        os.replace(part, target)
        sync_folder(target.parent)
    except OSError as error:
        raise _unwritable(target.parent, error) from error


def _unwritable(folder: Path, error: OSError) -> EngineError:
    return fault(
        "folder_unwritable",
        f"{folder} cannot be written",
        error.strerror or str(error),
        "Choose another folder, or free some space",
    )
