"""Runs that a full disk parked: they go on by themselves once there is space."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from engine.lanes import Lane
from engine.protocol.commands import ResumeRun
from engine.protocol.errors import EngineError
from engine.protocol.runs import RunInfo
from engine.runs import checkpoints, folder
from engine.runs.book import RunBook

logger = logging.getLogger(__name__)
TIMES = 3
"""Free space over the bytes of a run's folder: its next checkpoint lies beside the last ones for a moment."""
LEAST = 256 << 20
"""Bytes that are free at least: a disk that is full again at once would park the run again."""


def look_seconds() -> float:
    """Between two looks."""
    return float(os.environ.get("QWILL_ROOM_SECONDS", "30"))


def has_room(place: Path) -> bool:
    """Whether the disk of a run's folder can take what the run will write next."""
    try:
        free = shutil.disk_usage(place).free
    except OSError:
        return False
    return free >= max(LEAST, TIMES * checkpoints.size_of(place))


class RoomWatch:
    """Looks now and then while a run waits for space. Used from the loop's thread."""

    def __init__(self, book: RunBook, disk: Lane, resume: Callable[[ResumeRun], Awaitable[RunInfo]]) -> None:
        self._book = book
        self._disk = disk
        self._resume = resume
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._watch())

    def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    async def look(self) -> None:
        """Let those go on for which there is space now."""
        for info in self._book.infos():
            if info.state != "paused" or info.error is None or info.error.code != "disk_full":
                continue
            if not await self._disk.run(has_room, folder.folder(info.id)):
                continue
            try:
                await self._resume(ResumeRun(info.id))
            except EngineError as error:  # somebody was quicker
                logger.info("%s", error.info.sentence())
            else:
                logger.info("%s goes on: there is space again", info.id)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(look_seconds())
            await self.look()
