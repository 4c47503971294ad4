"""Where an export is written: a folder of our own beside the target, put in place by a rename at the end."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from engine.files import sync_folder
from engine.protocol.errors import EngineError, fault


def begin(target: Path, need: int, *, replace: bool) -> Path:
    """An empty folder beside the target. `need`: bytes that will be written.

    Raises EngineError `target_not_empty`, `target_unwritable`, `disk_full`.
    """
    if taken(target) and not replace:
        raise fault(
            "target_not_empty",
            f"{target} is there already",
            "Nothing is overwritten without being asked for",
            "Choose another place, or allow to replace it (--replace); what is there is kept beside",
        )
    part = target.with_name(f".{target.name}.part-{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(target.parent).free
        if need > free:
            raise fault(
                "disk_full",
                f"{target.name} does not fit on the disk",
                f"It needs about {need / 1e9:.1f} GB, {free / 1e9:.1f} GB are free",
                "Free some space, or choose another disk",
            )
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o755)
    except OSError as error:
        raise unwritable(target, error) from error
    return part


def taken(target: Path) -> bool:
    """Whether something lies there that would be lost."""
    if target.is_dir():
        return next(target.iterdir(), None) is not None
    return target.exists() or target.is_symlink()


def put(part: Path, target: Path) -> str:
    """Rename what was written to its place; returns where what was there is kept, or nothing.

    Raises EngineError `target_unwritable`.
    """
    try:
        kept = ""
        if taken(target):
            aside = _aside(target)
            os.rename(target, aside)
            kept = str(aside)
        elif target.is_dir():
            target.rmdir()
        os.rename(part, target)
        sync_folder(target.parent)
    except OSError as error:
        raise unwritable(target, error) from error
    return kept


def unwritable(target: Path, error: OSError) -> EngineError:
    """The fault of a disk that refuses."""
    return fault(
        "target_unwritable",
        f"{target.name} could not be written",
        error.strerror or str(error),
        "Free some space, or choose a folder that can be written to",
    )


def _aside(target: Path) -> Path:
    number = 1
    while (aside := target.with_name(f"{target.name}.before-{number}")).exists():
        number += 1
    return aside


def size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size
