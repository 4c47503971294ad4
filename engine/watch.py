"""The monitor thread: a sample a second while somebody looks or something works, quick readings between."""

from __future__ import annotations

import asyncio
import importlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from msgspec.structs import replace

from engine import holdings
from engine.monitor.pooled import pooled
from engine.monitor.pools import mapped_in_use
from engine.monitor.strain import CRITICAL_LEFT, Gauge, facts_of
from engine.monitor.swings import Swings
from engine.protocol.specs import MonitorSample

log = logging.getLogger(__name__)
PERIOD = 1.0
"""Seconds between two samples."""
QUICK = 0.1
"""Seconds between two quick readings while something works: a peak of twice that is seen."""
NOTICE = 0.25
"""Seconds in which work that begins is noticed while somebody looks."""
SOON = 0.3
"""Seconds after a sample from which on a quick reading that looks critical calls for the next one."""
ALIKE = 5
"""Samples whose least difference from the process's own bytes is what its children hold."""
REST = 5.0
"""Seconds without a sample after a fault."""


class Sampling(Protocol):
    """What the thread asks: engine.monitor.Sampler, or a stand-in."""

    def sample(self) -> MonitorSample: ...

    def quick(self) -> dict[str, int]:
        """A few numbers in bytes, in well under a millisecond.

        `ram` and `gpu0.gtt`: used; `engine`: resident.
        """
        ...


class Look:
    """Makes whole samples of what the readers and the workers say. Used from one thread."""

    def __init__(self, sampling: Sampling, board: holdings.Board) -> None:
        self._sampling = sampling
        self._board = board
        self._swings = Swings()
        self._gauge = Gauge()
        self._children: deque[int] = deque(maxlen=ALIKE)
        self._total = self._mapped = 0

    def quick(self) -> bool:
        """Take a quick reading; returns whether RAM looks critically short."""
        found = self._sampling.quick()
        used = found.get("ram")
        # As the pool counts: weights that are pages of files are in use, though the kernel could drop them.
        self._swings.add(found if used is None else found | {"ram": used + self._mapped})
        return bool(self._total) and self._total - found.get("ram", 0) < CRITICAL_LEFT * self._total

    def sample(self) -> MonitorSample:
        """The machine now, with what the bytes are, how they swung, and how short they are."""
        sample = self._sampling.sample()
        own = holdings.own_resident() or sample.engine_rss
        # The two are not of the same moment: what a short peak puts between them is none of the children's.
        self._children.append(max(0, sample.engine_rss - own))
        known = self._board.read()
        if known.torch:  # only now is it known what torch keeps of a GPU whose driver does not tell
            sample = pooled(sample, known.torch)
        self._total = sample.ram_total
        self._mapped = mapped_in_use(sample)
        return replace(
            sample,
            swings=self._swings.close(sample),
            holdings=holdings.holdings(known, sample.engine_rss, sample.pools, min(self._children)),
            torch=known.torch,
            strain=self._gauge.look(facts_of(sample), time.monotonic(), time.time()),
        )


class Watch:
    """Owns the monitor thread; hands each sample to the loop. A reader's error never leaves the thread."""

    def __init__(
        self,
        looked: Callable[[], bool],
        publish: Callable[[MonitorSample], None],
        works: Callable[[], bool] = lambda: False,
        *,
        board: holdings.Board | None = None,
        sampling: Callable[[], Sampling] | None = None,
    ) -> None:
        """`looked`: whether anybody wants samples; `works`: whether a run, a reply or a load is under way.

        Both are asked in the monitor's thread. `sampling` makes the readers there, those of this machine
        by default.
        """
        self._looked = looked
        self._works = works
        self._publish = publish
        self._board = board or holdings.shared
        self._sampling = sampling or _readers
        self._stopped = threading.Event()
        self._due = self._taken = 0.0
        self.latest: MonitorSample | None = None
        self.spent = 0.0
        """CPU seconds of the thread so far."""

    def start(self) -> None:
        """Begin; call from the loop's thread."""
        self._board.clear()
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._work, args=(loop,), name="monitor", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        look = Look(self._sampling(), self._board)
        wait = 0.0
        while not self._stopped.wait(wait):
            try:
                sample, wait = self._turn(look)
            except Exception:  # the edge of a thread: a monitor must not die of one bad reading
                log.exception("the monitor could not take a sample")
                sample, wait = None, REST
            self.spent = time.thread_time()
            if sample is not None:
                self.latest = sample
                try:
                    loop.call_soon_threadsafe(self._publish, sample)
                except RuntimeError:  # the loop is closed
                    return

    def _turn(self, look: Look) -> tuple[MonitorSample | None, float]:
        """(a sample where one is due, seconds until the next turn)."""
        now, works = time.monotonic(), self._works()
        looked = works or self._looked()
        urgent = works and look.quick() and now - self._taken >= SOON
        sample = None
        if self.latest is None or urgent or (looked and now >= self._due):
            sample = look.sample()
            self._taken = now
            self._due = max(self._due + PERIOD, now + PERIOD / 2)
        if works:
            return sample, QUICK
        left = self._due - time.monotonic()
        return sample, min(NOTICE, max(0.0, left)) if looked else PERIOD


def _readers() -> Sampling:
    """Of this machine; imported in the thread, for nobody waits there."""
    made: Sampling = importlib.import_module("engine.monitor.sample").Sampler()
    return made
