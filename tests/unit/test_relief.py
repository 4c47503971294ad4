"""Memory runs short: what is told, and the run that is parked before the kernel ends the engine.

The readers are a stand-in; watch, gauge, bus, runner and disk are the real ones.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine import watch as watching
from engine.holdings import shared
from engine.models.folders import add_folder
from engine.monitor import strain
from engine.monitoring import Monitoring
from engine.protocol import commands as c
from engine.protocol import events as e
from engine.protocol.memory import Pool
from engine.protocol.memory_history import ReadMemory
from engine.protocol.runs import RunInfo
from engine.protocol.specs import MonitorSample
from engine.runs import folder, log, memory_log
from engine.settings import settings_path
from engine.training import RunJob
from tests.support.model_folders import model_folder
from tests.unit.test_runs_runner import Bench, opened, until

GIB = 1 << 30


class Readers:
    """A machine of 16 GiB."""

    def __init__(self) -> None:
        self.left = 0.5
        self.resident = GIB
        self.pools: tuple[Pool, ...] = ()

    def sample(self) -> MonitorSample:
        return MonitorSample(
            at=time.time(),
            ram_total=16 * GIB,
            ram_available=round(self.left * 16 * GIB),
            engine_rss=self.resident,
            pools=self.pools,
        )

    def quick(self) -> dict[str, int]:
        return {"ram": round((1 - self.left) * 16 * GIB), "engine": self.resident}


class Room:
    """A runner whose machine is watched."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.readers = Readers()
        self.monitoring = Monitoring(
            bench.bus,
            bench.runner,
            bench.lanes[2],
            looked=lambda: True,
            busy=lambda: False,
            speed=lambda: 0.0,
            sampling=lambda: self.readers,
        )

    async def training(self, **changes: object) -> RunInfo:
        """A run that stands at its step 5 until the trainer may go on."""

        def hold(job: object, sink: object, step: int) -> None:
            if step == 5:
                self.bench.trainer.go.clear()

        self.bench.trainer.at_step = hold
        info = await self.bench.start(**changes)
        await until(lambda: self.bench.info(info.id).step >= 5)
        return info

    async def level(self, wanted: str) -> None:
        await until(lambda: self.monitoring.latest and self.monitoring.latest.strain.level == wanted)

    async def notices(self) -> list[e.Notice]:
        return await self.bench.told(e.Notice)


@asynccontextmanager
async def watched() -> AsyncIterator[Room]:
    async with opened() as bench:
        room = Room(bench)
        room.monitoring.start()
        try:
            yield room
        finally:
            room.monitoring.stop()


@pytest.fixture(autouse=True)
def machine(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two models, and seconds that pass in a fiftieth of one."""
    model_folder(home / "models" / "base", seed=1)
    add_folder(home / "models")
    for name in ("PERIOD", "QUICK", "NOTICE", "SOON"):
        monkeypatch.setattr(watching, name, getattr(watching, name) / 50)
    monkeypatch.setattr(strain, "PATIENCE", 0.1)


async def test_each_worsening_is_told_once() -> None:
    async with watched() as room:
        await room.level("calm")
        room.readers.left = 0.08
        await room.level("warn")
        await asyncio.sleep(0.1)  # five more samples
        room.readers.left = 0.045
        await room.level("critical")
        await asyncio.sleep(0.1)
        told = await room.notices()
        assert [(notice.level, notice.info.title) for notice in told] == [
            ("warning", "Memory runs short: 1.3 GiB of 16.0 are free"),
            ("warning", "Memory runs short: 0.7 GiB of 16.0 are free"),
        ]
        assert all(notice.info.remedy for notice in told)
        room.readers.left = 0.5
        await room.level("calm")
        room.readers.left = 0.09
        await room.level("warn")
        await until(lambda: len(room.bench.outbox))
        assert len(await room.notices()) == 3


async def test_a_run_is_parked_when_memory_is_critical_and_goes_on_when_a_person_says_so() -> None:
    async with watched() as room:
        bench = room.bench
        info = await room.training()
        room.readers.left = 0.04
        await until(lambda: bench.info(info.id).state == "paused" and not bench.runner.lives)
        parked = bench.info(info.id)
        assert (parked.pause, parked.step, parked.error) == ("park", 6, None)
        finding = parked.findings[-1]
        assert (finding.code, finding.step, finding.key) == ("memory_short", 5, "run.resume")
        assert finding.title.startswith("Memory runs short: 0.6 GiB of 16.0 are free, so the run was parked")
        [notice] = [each for each in await room.notices() if each.info.code == "run_parked"]
        assert info.name in notice.info.title
        assert f"qwill runs resume {info.id}" in notice.info.remedy
        room.readers.left = 0.5
        await room.level("calm")
        await asyncio.sleep(0.1)
        assert bench.info(info.id).state == "paused"  # nobody said so
        bench.trainer.go.set()
        bench.trainer.at_step = lambda job, sink, step: None
        await bench.steering.resume(c.ResumeRun(info.id))
        done = await bench.ended(info.id)
        assert (done.state, done.step, done.resumed) == ("done", 30, (6,))


async def test_one_critical_sample_and_swap_alone_park_no_run() -> None:
    async with watched() as room:
        info = await room.training()
        relief = room.monitoring._relief
        room.monitoring.stop()  # the samples come by hand
        calm = MonitorSample(ram_total=100, ram_available=50)
        critical = MonitorSample(
            ram_total=100, ram_available=4, strain=strain.Strain("critical", "Memory runs short")
        )
        tidied = replace(critical, ram_available=30)  # swap grew, and there is room
        for sample in (critical, calm, critical, calm, tidied, tidied, tidied, calm):
            relief.look(sample)
        assert not relief.short
        assert not room.bench.runner.lives[0].pausing.is_set()
        relief.look(critical)
        relief.look(critical)
        await until(lambda: room.bench.info(info.id).state == "paused")


async def test_the_last_bytes_wait_for_no_second_sample() -> None:
    async with watched() as room:
        info = await room.training()
        relief = room.monitoring._relief
        room.monitoring.stop()
        relief.look(
            MonitorSample(
                ram_total=100, ram_available=2, strain=strain.Strain("critical", "Memory runs short")
            )
        )
        await until(lambda: room.bench.info(info.id).state == "paused")


async def test_who_turned_it_off_is_warned_only() -> None:
    settings_path().parent.mkdir(parents=True, exist_ok=True)
    settings_path().write_text("[engine]\npause_at_critical = false\n")
    async with watched() as room:
        info = await room.training()
        room.readers.left = 0.02
        await room.level("critical")
        await asyncio.sleep(0.2)
        assert room.bench.info(info.id).state == "running"
        assert [notice.info.code for notice in await room.notices()] == ["memory_short"]


@pytest.mark.parametrize(
    ("pool", "state"),
    [
        (Pool("gpu0.vram", "vram", main=True), "running"),
        (Pool("gpu0.gtt", "gtt", main=True, shared=True), "paused"),
        (Pool("gpu0.unified", "unified", main=True, shared=True), "paused"),
    ],
)
async def test_a_run_in_a_cards_own_memory_goes_on_for_it_would_free_no_ram(pool: Pool, state: str) -> None:
    async with watched() as room:
        room.readers.pools = (pool,)
        info = await room.training()
        room.readers.left = 0.02
        await room.level("critical")
        if state == "paused":
            await until(lambda: room.bench.info(info.id).state == "paused")
        await asyncio.sleep(0.1)
        assert room.bench.info(info.id).state == state


async def test_no_run_begins_while_memory_is_critical() -> None:
    async with watched() as room:
        room.readers.left = 0.02
        await room.level("critical")
        await until(lambda: room.monitoring._relief.short)
        info = await room.bench.start()
        await asyncio.sleep(0.2)
        assert room.bench.info(info.id).state == "queued"
        room.readers.left = 0.5
        assert (await room.bench.ended(info.id)).state == "done"


async def test_a_run_that_is_held_is_parked_too() -> None:
    async with watched() as room:
        bench = room.bench
        info = await room.training()
        await bench.steering.pause(c.PauseRun(info.id, "hold"))
        await until(lambda: bench.info(info.id).pause == "hold")
        room.readers.left = 0.02
        await until(lambda: bench.info(info.id).pause == "park" and not bench.runner.lives)


# --- the record, by the same way ------------------------------------------------------------


async def test_a_run_is_recorded_while_it_trains_and_after_its_end() -> None:
    async with watched() as room:
        bench = room.bench
        info = await room.training()
        room.readers.resident = 3 * GIB
        place = folder.folder(info.id) / memory_log.NAME
        await until(lambda: b"3221225472" in place.read_bytes())
        live = await room.monitoring.read(ReadMemory(info.id))
        assert live.points[-1].step == 5
        assert live.points[-1].loss is not None
        room.readers.resident = GIB
        bench.trainer.go.set()
        await bench.ended(info.id)
        page = await room.monitoring.read(ReadMemory(info.id))
        assert page.pool == "ram"
        assert max(point.most for point in page.points) == 3 * GIB
        assert sum(each.bytes for each in page.holdings) == 3 * GIB
        curve = await bench.runner.read(c.ReadRun(info.id))
        assert page.marks == curve.marks
        assert page.points[-1].tokens_per_s > 0
        newer = await room.monitoring.read(ReadMemory(info.id, since=page.points[-2].at))
        assert newer.points == page.points[-1:]
        whole = await room.monitoring.read(ReadMemory())
        assert whole.points[0].at <= page.points[0].at
        assert max(point.most for point in whole.points) == 3 * GIB


async def test_on_a_gpu_the_records_peaks_are_those_of_its_memory() -> None:
    def step(job: RunJob, sink: object, number: int) -> None:
        if number == 10:  # an evaluation follows
            shared.peaked(job.id, 40 * GIB, 77 * GIB)

    async with watched() as room:
        room.bench.trainer.at_step = step
        info = await room.bench.start()
        await room.bench.ended(info.id)
        page = await room.monitoring.read(ReadMemory(info.id))
        told = {(mark.memory, mark.peak) for mark in page.marks if mark.phase == "eval"}
        assert (40 * GIB, 77 * GIB) in told
        curve = await room.bench.runner.read(c.ReadRun(info.id))
        assert max(mark.peak for mark in curve.marks) < 40 * GIB  # the log has what was resident


async def test_a_run_of_the_time_before_records_answers_from_its_log() -> None:
    async with watched() as room:
        info = await room.bench.start()
        await room.bench.ended(info.id)
        (folder.folder(info.id) / memory_log.NAME).unlink(missing_ok=True)
        page = await room.monitoring.read(ReadMemory(info.id))
        assert [point.step for point in page.points] == list(range(1, 31))
        assert page.marks
        (folder.folder(info.id) / log.NAME).unlink()
        assert (await room.monitoring.read(ReadMemory(info.id))).points == ()
