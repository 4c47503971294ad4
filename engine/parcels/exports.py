"""Exports that somebody on another machine asked for: they wait here until they were fetched."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path

from engine import paths
from engine.parcels.names import is_plain, tidy, wrong
from engine.protocol.errors import fault
from engine.protocol.parcels import WAITING

KEPT = 7 * 86400.0
"""Seconds after which one that nobody fetched is dropped."""


def exports_dir() -> Path:
    """Where they wait."""
    return paths.data_dir() / "exports"


def placed(target: str, job: str) -> str:
    """The absolute path for an export's target: `exports:NAME` waits here, under its job.

    Raises EngineError `parcel_wrong`, `target_unwritable`.
    """
    if not target.startswith(WAITING):
        return target
    if not is_plain(job) or "/" in job:
        raise wrong("An export is named by letters and digits")
    folder = exports_dir() / job
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise fault(
            "target_unwritable", f"{folder} cannot be written", error.strerror or str(error)
        ) from error
    return str(folder / tidy(target.removeprefix(WAITING)))


def folder_of(job: str) -> Path:
    """Where an export of this job waits. Raises EngineError `export_unknown`."""
    folder = exports_dir() / job if is_plain(job) and "/" not in job else None
    if folder is None or not folder.is_dir():
        raise fault("export_unknown", "There is no such export (any more)", remedy="Export it again")
    return folder


def forget() -> None:
    """Drop what nobody fetched."""
    with contextlib.suppress(OSError):
        for folder in exports_dir().iterdir():
            if time.time() - folder.stat().st_mtime > KEPT:
                shutil.rmtree(folder, ignore_errors=True)
