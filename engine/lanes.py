"""Threads of our own: one lane is one daemon thread that runs its work in order."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Lane:
    """A named daemon thread with a queue. Daemon, so that a hung driver never holds up the process's exit."""

    def __init__(self, name: str) -> None:
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Queue `work(*args)`; the future resolves in the calling loop with its result or exception."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put(lambda: _resolve(loop, future, work, args))
        return future

    def close(self) -> None:
        """End the thread after what is queued."""
        self._queue.put(None)

    def join(self, seconds: float) -> None:
        """Wait at most so long for the queued work to end."""
        self._thread.join(seconds)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            item()


def _resolve(
    loop: asyncio.AbstractEventLoop,
    future: asyncio.Future[T],
    work: Callable[..., T],
    args: tuple[Any, ...],
) -> None:
    result: T | None = None
    fault: BaseException | None = None
    try:
        result = work(*args)
    except BaseException as error:  # the edge of a thread: whatever it is belongs to the waiting caller
        fault = error

    def settle() -> None:
        if future.cancelled():
            return
        if fault is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(fault)

    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:  # the loop is closed: nobody waits any more
        return
