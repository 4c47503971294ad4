"""The monitor thread: when it samples, what it sees in between, and what it costs where nobody looks."""

from __future__ import annotations

import asyncio
import mmap
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from engine import watch as module
from engine.holdings import Board, Held
from engine.monitor.sample import Sampler
from engine.protocol.specs import MonitorSample
from engine.watch import Watch

MIB = 1 << 20
GIB = 1 << 30


class Counter:
    """Readers that count how often they are asked."""

    def __init__(self) -> None:
        self.samples = self.quicks = 0
        self.left = 8 * GIB
        self.fails = 0

    def sample(self) -> MonitorSample:
        self.samples += 1
        if self.fails:
            self.fails -= 1
            raise RuntimeError("a driver said no")
        return MonitorSample(
            at=time.time(), ram_total=16 * GIB, ram_available=self.left, engine_rss=GIB, cores=2
        )

    def quick(self) -> dict[str, int]:
        self.quicks += 1
        return {"ram": 16 * GIB - self.left, "engine": GIB}


class Seen:
    """A watch, and what it handed to the loop."""

    def __init__(self, sampling: Callable[[], object] | None = None, *, works: bool = False) -> None:
        self.samples: list[MonitorSample] = []
        self.looked, self.works = False, works
        self.board = Board()
        self.watch = Watch(
            lambda: self.looked,
            self.samples.append,
            lambda: self.works,
            board=self.board,
            sampling=sampling,  # type: ignore[arg-type]
        )

    async def until(self, holds: Callable[[], object], seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, "it never came to hold"
            await asyncio.sleep(0.01)


@asynccontextmanager
async def seen(sampling: Callable[[], object] | None = None, *, works: bool = False) -> AsyncIterator[Seen]:
    made = Seen(sampling, works=works)
    made.watch.start()
    try:
        yield made
    finally:
        made.watch.stop()


def fast(patch: pytest.MonkeyPatch, times: float = 20.0) -> None:
    """Let a second pass in less of one."""
    for name in ("PERIOD", "QUICK", "NOTICE", "SOON", "REST"):
        patch.setattr(module, name, getattr(module, name) / times)


async def test_a_peak_of_200_mib_for_200_ms_is_seen_though_no_sample_falls_into_it() -> None:
    """Real memory, the real readers; the peak begins right after a sample and is over before the next.

    A machine that gives the monitor no time at all for those 200 ms shows it the next time.
    """
    async with seen(lambda: Sampler(readers=[]), works=True) as found:
        await found.until(lambda: len(found.samples) >= 2)
        before = found.samples[-1].engine_rss
        most = 0
        for _ in range(5):
            count = len(found.samples)
            await found.until(lambda count=count: len(found.samples) > count)  # type: ignore[misc]
            await _peak(200 * MIB, 0.2)
            count = len(found.samples)
            await found.until(lambda count=count: len(found.samples) > count)  # type: ignore[misc]
            most = max(sample.swings["engine"].most for sample in found.samples[2:])
            if most >= before + 190 * MIB:
                break
    assert most >= before + 190 * MIB
    assert found.samples[-1].engine_rss < before + 100 * MIB


async def _peak(size: int, seconds: float) -> None:
    block = mmap.mmap(-1, size)
    for place in range(0, size, mmap.PAGESIZE):
        block[place] = 1
    await asyncio.sleep(seconds)
    block.close()


async def test_nobody_looks_and_nothing_works_so_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard of the idle cost: it counts reads, not time."""
    fast(monkeypatch)
    counter = Counter()
    async with seen(lambda: counter) as found:
        await found.until(lambda: found.samples)  # one, so that the first client has something to draw
        await asyncio.sleep(0.4)  # eight periods
        assert (counter.samples, counter.quicks) == (1, 0)


async def test_whoever_looks_gets_one_sample_a_period_and_no_quick_readings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fast(monkeypatch)
    counter = Counter()
    async with seen(lambda: counter) as found:
        found.looked = True
        await found.until(lambda: len(found.samples) >= 2)
        began, first = time.monotonic(), counter.samples
        await found.until(lambda: counter.samples >= first + 6)
        assert time.monotonic() - began >= 5 * module.PERIOD * 0.9
        assert counter.quicks == 0


async def test_while_something_works_there_are_quick_readings_between_the_samples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fast(monkeypatch, 5.0)
    counter = Counter()
    async with seen(lambda: counter, works=True) as found:  # nobody looks
        await found.until(lambda: counter.samples >= 5)
        assert counter.quicks >= 2 * counter.samples


async def test_a_quick_reading_that_looks_critical_is_followed_by_a_sample_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fast(monkeypatch, 5.0)
    monkeypatch.setattr(module, "PERIOD", 60.0)
    counter = Counter()
    async with seen(lambda: counter, works=True) as found:
        await found.until(lambda: counter.quicks >= 3)
        assert counter.samples == 1
        counter.left = GIB // 2
        await found.until(lambda: any(sample.strain.level == "critical" for sample in found.samples))


async def test_a_fault_of_the_readers_is_over_once_they_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    fast(monkeypatch)
    counter = Counter()
    counter.fails = 2
    async with seen(lambda: counter) as found:
        found.looked = True
        await found.until(lambda: len(found.samples) >= 2)
    assert counter.samples >= 4


async def test_what_the_workers_hold_rides_with_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    fast(monkeypatch)
    async with seen(Counter) as found:
        found.looked = True
        found.board.hold("m", [Held("model", 300 * MIB, "demo")])
        count = len(found.samples)
        await found.until(lambda: len(found.samples) >= count + 2)
    held = {each.part: each.bytes for each in found.samples[-1].holdings}
    assert held["model"] == 300 * MIB
    assert held["other"] == GIB - 300 * MIB


async def test_it_ends_with_its_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    fast(monkeypatch)
    counter = Counter()

    async def briefly() -> Seen:
        made = Seen(lambda: counter)
        made.looked = True
        made.watch.start()
        await made.until(lambda: made.samples)
        return made

    def elsewhere() -> None:
        asyncio.run(briefly())

    await asyncio.to_thread(elsewhere)
    await asyncio.sleep(5 * module.PERIOD)
    count = counter.samples
    await asyncio.sleep(5 * module.PERIOD)
    assert counter.samples == count
