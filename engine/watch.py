"""The monitor thread: samples the machine once a second while somebody looks."""

from __future__ import annotations

import asyncio
import importlib
import logging
import threading
from collections.abc import Callable

from engine.protocol.specs import MonitorSample

log = logging.getLogger(__name__)
PERIOD = 1.0
"""Seconds between two samples."""


class Watch:
    """Owns the monitor thread; hands each sample to the loop. A reader's error never leaves the thread."""

    def __init__(self, wanted: Callable[[], bool], publish: Callable[[MonitorSample], None]) -> None:
        self._wanted = wanted
        self._publish = publish
        self._stopped = threading.Event()
        self.latest: MonitorSample | None = None

    def start(self) -> None:
        """Begin; call from the loop's thread."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._work, args=(loop,), name="monitor", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        sampler = importlib.import_module("engine.monitor.sample").Sampler()
        while not self._stopped.wait(PERIOD if self.latest else 0.0):
            if self.latest is not None and not self._wanted():
                continue
            try:
                self.latest = sampler.sample()
                loop.call_soon_threadsafe(self._publish, self.latest)
            except RuntimeError:  # the loop is closed
                return
            except Exception:  # the edge of a thread: a monitor must not die of one bad reading
                log.exception("the monitor could not take a sample")
                self._stopped.wait(5.0)
