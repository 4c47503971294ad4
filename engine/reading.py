"""Reads of data that may take a while: how far each is, told from its first second on, and its stop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from engine.bus import Bus
from engine.protocol import commands as c
from engine.protocol.errors import fault
from engine.protocol.events import DataMoved

T = TypeVar("T")
PATIENCE, BETWEEN = 1.0, 0.25
"""Seconds after which a read is told of, and between two such times."""


class Tally:
    """How far one read is. Called from whichever thread reads."""

    def __init__(self, bus: Bus, job: str) -> None:
        self.stopped = threading.Event()
        self._bus = bus
        self._job = job
        self._loop = asyncio.get_running_loop()
        self._due = time.monotonic() + PATIENCE

    def __call__(self, done: int, total: int = 0) -> None:
        """So many rows are read, of so many where that is known. Raises EngineError `cancelled`."""
        if self.stopped.is_set():
            raise fault("cancelled", "Reading the data was stopped")
        now = time.monotonic()
        if now >= self._due:
            self._due = now + BETWEEN
            self._loop.call_soon_threadsafe(self._bus.publish, DataMoved(self._job, done, total))


class Readings:
    """The reads under way, by the names that clients gave them. Used from the loop's thread."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._going: dict[str, tuple[Tally, asyncio.Future[object]]] = {}

    async def run(self, job: str, read: Callable[[Tally], Awaitable[T]]) -> T:
        """What `read` returns. Raises as it does, and EngineError `cancelled` once it is stopped."""
        tally = Tally(self._bus, job)
        task = asyncio.ensure_future(read(tally))
        if job:
            self._going[job] = (tally, task)  # type: ignore[assignment]  # a future of another type
        try:
            return await task
        except asyncio.CancelledError:
            if not tally.stopped.is_set():  # the client left
                raise
            raise fault("cancelled", "Reading the data was stopped") from None
        finally:
            tally.stopped.set()  # a thread that still reads ends at its next row
            self._going.pop(job, None)

    async def stop(self, command: c.StopData) -> c.Done:
        """End it; nothing is said of one that has ended."""
        found = self._going.get(command.job)
        if found is not None:
            tally, task = found
            tally.stopped.set()
            task.cancel()
        return c.Done()
