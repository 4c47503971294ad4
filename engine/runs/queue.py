"""The order in which runs wait. It is on disk before it is told, and survives the engine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from engine.files import write_atomic
from engine.lanes import Lane
from engine.protocol.errors import EngineError
from engine.runs.folder import runs_dir

logger = logging.getLogger(__name__)
LOOK_SECONDS = 0.5
"""Between two looks whether somebody chats, while a run waits for that to end."""


class RunQueue:
    """Ids of waiting runs, first one next. Used from the loop's thread."""

    def __init__(self, disk: Lane, moved: Callable[[], None]) -> None:
        """`moved`: told after each change of the order."""
        self._disk = disk
        self._moved = moved
        self._order: list[str] = []
        self._changed = asyncio.Event()

    @property
    def order(self) -> tuple[str, ...]:
        return tuple(self._order)

    def place(self, run: str) -> int:
        """From 1; 0 for one that does not wait."""
        return self._order.index(run) + 1 if run in self._order else 0

    async def open(self, waiting: Iterable[str]) -> None:
        """Take these up, in the order of the last engine; those it did not know come after, as they are."""
        waiting = list(waiting)
        stored = await self._disk.run(_load)
        self._order = [run for run in stored if run in waiting]
        self._order += [run for run in waiting if run not in self._order]
        self._tell()

    async def put(self, run: str, place: int = 0) -> None:
        """Let a run wait at a place from 1 on, or go there; 0 and beyond the end is the end."""
        if run in self._order:
            self._order.remove(run)
        self._order.insert(place - 1 if place > 0 else len(self._order), run)
        await self._store()

    async def put_all(self, runs: Iterable[str]) -> None:
        """Let several wait at the end; nobody sees some of them without the others."""
        self._order += [run for run in runs if run not in self._order]
        await self._store()

    async def take(self, run: str) -> None:
        """A run waits no more."""
        if run in self._order:
            self._order.remove(run)
            await self._store()

    async def next(self, ready: Callable[[str], bool]) -> str:
        """The first run that is ready, which stays in the queue; waits until there is one."""
        while True:
            self._changed.clear()
            found = next((run for run in self._order if ready(run)), None)
            if found is not None:
                return found
            try:
                await asyncio.wait_for(self._changed.wait(), LOOK_SECONDS if self._order else None)
            except TimeoutError:
                continue

    async def _store(self) -> None:
        try:
            await self._disk.run(_save, tuple(self._order))
        except (OSError, EngineError) as error:  # the folder itself may be gone
            logger.warning("the order of the queue could not be stored: %s", error)
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._moved()


def _path() -> Path:
    return runs_dir() / ".queue.json"


def _save(order: tuple[str, ...]) -> None:
    write_atomic(_path(), msgspec.json.encode(order))


def _load() -> tuple[str, ...]:
    try:
        return msgspec.json.decode(_path().read_bytes(), type=tuple[str, ...])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return ()
