"""Exports an adapter on the engine's machine, and brings what was written to a path here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from pathlib import Path

from msgspec.structs import replace

from engine.parcels.fetch import fetch
from engine.parcels.names import tidy
from engine.parcels.pacing import Asks, Tell
from engine.protocol.adapters import Exported, UndoExport
from engine.protocol.errors import EngineError, EngineLost, fault
from engine.protocol.parcels import WAITING


def waiting(path: Path) -> str:
    """The target to ask the engine for, where the export is meant for this path here.

    Raises EngineError `target_not_empty`: nothing is written over.
    """
    if path.exists() or path.is_symlink():
        raise fault(
            "target_exists", f"{path} is there already", "Nothing is written over", "Choose another path"
        )
    return f"{WAITING}{tidy(path.name)}"


async def collect(asks: Asks, exported: Exported, path: Path, tell: Tell) -> Exported:
    """Bring a finished export to its path here, verified; the engine's copy goes.

    Raises what `fetch` raises, and EngineError `folder_unwritable`.
    """
    coming = path.parent / f".{path.name[:100]}.{os.getpid()}.coming"
    try:
        await fetch(asks, "export", exported.job, coming, tell)
        await asyncio.to_thread(_put, coming / tidy(path.name), path)
    finally:
        await asyncio.to_thread(shutil.rmtree, coming, ignore_errors=True)
    with contextlib.suppress(EngineError, EngineLost):
        await asks.request(UndoExport(exported.job))
    return replace(exported, path=str(path))


def _put(source: Path, target: Path) -> None:
    try:
        os.rename(source, target)
    except OSError as error:
        raise fault(
            "folder_unwritable",
            f"{target} cannot be written",
            error.strerror or str(error),
            "Choose another path, or free some space",
        ) from error
