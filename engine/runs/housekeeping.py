"""What may go: old checkpoints of runs, the trash after a week, and what killed writers left."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable
from pathlib import Path

from engine.protocol.running import Prunable, Pruned
from engine.protocol.runs import RunInfo
from engine.runs import checkpoints, folder

logger = logging.getLogger(__name__)
TRASH_DAYS = 7.0
DAY = 86400.0


def expire_trash(now: float) -> int:
    """Delete what has lain in the trash for a week; returns its bytes. `now`: Unix time in seconds."""
    freed = 0
    for path in _trash():
        try:
            if now - path.stat().st_mtime < TRASH_DAYS * DAY:
                continue
            size = checkpoints.size_of(path)
            shutil.rmtree(path)
        except OSError as error:
            logger.warning("%s could not be deleted: %s", path, error)
            continue
        freed += size
        logger.info("%s left the trash after %g days: %d bytes", path.name, TRASH_DAYS, size)
    return freed


def prunable(runs: Iterable[RunInfo]) -> tuple[Prunable, ...]:
    """What nothing needs. A run that is done keeps its best checkpoint, another one its newest too."""
    found: list[Prunable] = []
    for info in runs:
        if info.state == "running" or (info.state == "paused" and info.pause != "park"):
            continue  # it holds its memory, and may write a checkpoint this moment
        place = folder.folder(info.id)
        done = info.state == "done"
        why = "The run is done" if done else "Newer ones are kept"
        for path in checkpoints.superfluous(place, keep=0 if done else 1):
            found.append(_item(info.id, "checkpoint", path, why))
        for path in checkpoints.leftovers(place):
            found.append(_item(info.id, "left over", path, "A killed engine left it half written"))
    found += [_item(path.name, "trash", path, "It was deleted") for path in _trash()]
    return tuple(found)


def prune(runs: Iterable[RunInfo], *, dry_run: bool) -> Pruned:
    """Delete what nothing needs, or only say so."""
    gone = []
    for item in prunable(runs):
        try:
            if not dry_run:
                _delete(item)
        except OSError as error:
            logger.warning("%s could not be deleted: %s", item.path, error)
            continue
        gone.append(item)
    return Pruned(tuple(gone), sum(item.bytes_on_disk for item in gone), dry_run)


def adopt(run: str) -> bool:
    """Make the adapter of a parked run's newest checkpoint the run's own; whether it has one then."""
    place = folder.folder(run)
    found, _ = checkpoints.newest(place)
    source = None if found is None else found / checkpoints.ADAPTER
    if source is None or not (source / checkpoints.WEIGHTS).is_file():
        return folder.has_adapter(run)
    try:
        checkpoints.publish(source, place / folder.ADAPTER)
    except OSError as error:
        logger.warning("the adapter of %s could not be taken from its checkpoint: %s", run, error)
    return folder.has_adapter(run)


def _trash() -> list[Path]:
    return sorted(path for path in folder.trash_dir().iterdir() if path.is_dir())


def _item(run: str, kind: str, path: Path, why: str) -> Prunable:
    return Prunable(run, kind, str(path), checkpoints.size_of(path), why)  # type: ignore[arg-type]


def _delete(item: Prunable) -> None:
    path = Path(item.path)
    if item.kind == "checkpoint":
        checkpoints.remove(path)
    else:
        shutil.rmtree(path)
