"""Memory over time: bounded, no peak lost, kept beside a run, and read again after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from engine import memory_history
from engine.memory_history import FRESH, MARKS, OLDER, History, at_most, fitting, joined, point_of, still
from engine.protocol.memory import Holding, Pool, Swing
from engine.protocol.memory_history import MemoryPage, MemoryPoint
from engine.protocol.runs import PhaseMark, RunInfo, StepPoint, TrainSpec
from engine.protocol.specs import MonitorSample
from engine.protocol.wire import Reply
from engine.runs import log, memory_log
from engine.runs.memory_log import RunMemory

HELD = (Holding("model", 5, "demo", "ram"), Holding("other", 2, pool="ram"))


def at(second: float, ours: int = 100, **more: object) -> MemoryPoint:
    swing: dict[str, int] = {"least": ours, "most": ours}
    return MemoryPoint(second, 500, ours, **(swing | more))  # type: ignore[arg-type]


# --- points ---------------------------------------------------------------------------------


def test_a_history_stays_bounded_and_keeps_every_peak_and_its_newest_seconds() -> None:
    history = History()
    for second in range(1, 30_001):
        spike = 900 if second == 7 else 100
        history.add(at(second, most=spike, least=3 if second == 9_000 else 100))
    points = history.points
    assert OLDER // 2 <= len(points) <= 2000
    assert max(point.most for point in points) == 900
    assert min(point.least for point in points) == 3
    assert [point.at for point in points] == sorted(point.at for point in points)
    assert points[-1].at == 30_000
    gaps = [after.at - before.at for before, after in zip(points, points[1:], strict=False)]
    assert set(gaps[-FRESH + 1 :]) == {1}
    assert set(gaps[:600]) == {32}


def test_two_stretches_become_one() -> None:
    first = at(1, 90, least=80, most=300, step=4, loss=2.0, tokens_per_s=10.0)
    second = at(2, 100, least=95, most=110, tokens_per_s=20.0)
    assert joined(first, second) == at(2, 100, least=80, most=300, step=4, loss=2.0, tokens_per_s=15.0)
    assert joined(second, replace(first, tokens_per_s=0.0)).tokens_per_s == 20.0


def test_a_full_page_fits_a_line_of_the_protocol() -> None:
    history = History()
    history.holdings = HELD * 8
    for second in range(OLDER + FRESH - 1):
        history.add(
            MemoryPoint(1.7e9 + second + 0.123456, 2**40, 2**40, 2**40, 2**40, 1234.56789, 10**6, 1.23456789)
        )
    marks = [PhaseMark("first step", 1.7e9 + n, 10**6, 2**40, 2**40) for n in range(5000)]
    line = msgspec.json.encode(Reply(1, result=msgspec.Raw(msgspec.json.encode(history.page(0.0, marks)))))
    assert len(line) < 1 << 20


def test_marks_that_are_too_many_keep_the_peak_of_each_phase() -> None:
    marks = [PhaseMark("load", 0, peak=1)]
    for cycle in range(MARKS):
        peak = 77 if cycle == 3 else 10
        marks += [PhaseMark("train", cycle + 0.1, peak=5), PhaseMark("eval", cycle + 0.5, peak=peak)]
    kept = fitting(marks)
    assert MARKS <= len(kept) <= MARKS + 2 * 3
    assert kept[-1] is marks[-1]
    highest = {before.phase: 0 for before in kept}
    for before, after in zip(kept, kept[1:], strict=False):
        if marks.index(after) == marks.index(before) + 1:
            highest[before.phase] = max(highest[before.phase], after.peak)
    assert highest == {"load": 5, "train": 77, "eval": 5}
    assert fitting(marks[:5]) == tuple(marks[:5])


def test_only_points_after_a_time_are_told() -> None:
    history = History()
    for second in range(1, 6):
        history.add(at(second))
    page = history.page(3.0, [PhaseMark("load", 2.0), PhaseMark("train", 4.0)])
    assert [point.at for point in page.points] == [4, 5]
    assert [mark.phase for mark in page.marks] == ["train"]


def test_the_highest_says_what_the_bytes_were() -> None:
    history = History()
    assert history.peaks(100, HELD)
    assert not history.peaks(100, ())
    assert history.page(0.0).holdings == HELD


def test_a_quiet_engine_adds_a_point_now_and_then_only() -> None:
    before = at(100.0, 1000)
    assert not still(None, before)
    assert still(before, at(101.0, 1005))
    assert not still(before, at(101.0, 1020))
    assert not still(before, at(101.0, 1000, most=2000))
    assert not still(before, at(100.0 + memory_history.STILL_SECONDS, 1000))


# --- out of a sample ------------------------------------------------------------------------


def test_a_sample_is_a_point_of_its_main_pool() -> None:
    sample = MonitorSample(
        at=9.0,
        ram_total=1000,
        ram_available=400,
        engine_rss=200,
        swings={"engine": Swing(150, 350), "ram": Swing(1, 999)},
        holdings=(Holding("model", 120, "m", "ram"), Holding("other", 80, pool="ram")),
    )
    pool, point = point_of(sample, 5.0, 3, 0.5)
    assert (pool, point) == ("ram", MemoryPoint(9.0, 600, 200, 150, 350, 5.0, 3, 0.5))
    assert at_most(sample, pool, point) == (
        Holding("model", 120, "m", "ram"),
        Holding("activations", 150, pool="ram"),
        Holding("other", 80, pool="ram"),
    )
    # The fair share of RAM is seconds old: what is resident counts.
    ram = Pool("ram", "ram", used=590, ours=170, main=True)
    assert point_of(replace(sample, pools=(ram,)), 5.0)[1].ours == 200


def test_a_gpus_point_swings_by_all_that_is_used_there() -> None:
    gtt = Pool("gpu0.gtt", "gtt", used=5000, ours=4000, main=True)
    sample = MonitorSample(at=1.0, engine_rss=7, pools=(gtt,), swings={"gpu0.gtt": Swing(4800, 5900)})
    assert point_of(sample) == ("gpu0.gtt", MemoryPoint(1.0, 5000, 4000, 3800, 4900))
    silent = replace(gtt, ours=None, used=None)
    assert point_of(replace(sample, pools=(silent,), swings={}))[1].ours == 7


# --- beside a run ---------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / memory_log.NAME


def test_a_record_has_points_marks_and_the_bytes_at_the_peak(path: Path) -> None:
    record = RunMemory(path)
    record.mark(PhaseMark("load", 1.0))
    record.add(at(2.0, 100, step=1, loss=2.5, tokens_per_s=9.0), "ram", HELD[:1])
    record.add(at(3.0, 100, most=400), "ram", HELD)
    record.add(at(4.0, 90), "ram", ())
    record.mark(PhaseMark("train", 5.0, 1, 90, 400))
    live = record.page()
    record.close()
    page = memory_log.read(path)
    assert page == live
    assert [(point.at, point.most) for point in page.points] == [(2, 100), (3, 400), (4, 90)]
    assert (page.points[0].step, page.points[0].loss, page.points[0].tokens_per_s) == (1, 2.5, 9.0)
    assert [(mark.phase, mark.peak) for mark in page.marks] == [("load", 0), ("train", 400)]
    assert (page.pool, page.holdings) == ("ram", HELD)
    assert path.stat().st_mode & 0o777 == 0o600


def test_long_runs_write_fewer_points_and_lose_no_peak(path: Path) -> None:
    record = RunMemory(path)
    for second in range(20_000):
        record.add(at(second, 100, most=140 if second == 19_003 else 101), "ram", HELD)
    assert record.page().points[-1].at == 19_999
    record.close()
    lines = list(log.raw_lines(path))
    assert len(lines) < 4500
    assert path.stat().st_size < 512 << 10
    page = memory_log.read(path)
    assert max(point.most for point in page.points) == 140
    assert page.points[-1].at == 19_999


def test_a_run_that_is_taken_up_again_goes_on_in_the_same_record(path: Path) -> None:
    for start in (0, 10):
        record = RunMemory(path)
        record.add(at(start + 1, 100 + start), "ram", HELD[: 1 + start // 10])
        record.close()
    page = memory_log.read(path)
    assert [point.ours for point in page.points] == [100, 110]
    assert page.holdings == HELD


KILLED = """
import sys
from pathlib import Path
from engine.protocol.memory_history import MemoryPoint
from engine.runs.memory_log import RunMemory
record = RunMemory(Path(sys.argv[1]))
for second in range(1, 10**9):
    record.add(MemoryPoint(second, 1, second, second, second), "ram", ())
    print(second, flush=True)
"""


def test_what_was_recorded_survives_kill_9(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        told = 0
        while told < 200:
            told = int(child.stdout.readline())
        os.kill(child.pid, signal.SIGKILL)
        told = [int(line) for line in child.stdout.read().splitlines()[:-1] or [str(told)]][-1]
    page = memory_log.read(path)
    assert page.points[-1].at >= told - memory_log.LONGEST
    assert len(page.points) >= 200


@pytest.mark.parametrize(
    "rest", [b'{"point":{"at":7', b"\xff\xfe", b'{"point":{"at":"x"}}\n', b"[]\n\n", b"\0" * 99]
)
def test_a_torn_or_spoilt_line_costs_that_line_alone(path: Path, rest: bytes) -> None:
    record = RunMemory(path)
    record.add(at(1.0), "ram", HELD)
    record.close()
    with path.open("ab") as file:
        file.write(rest)
    assert [point.at for point in memory_log.read(path).points] == [1.0]
    again = RunMemory(path)
    again.add(at(2.0), "ram", HELD)
    again.close()
    assert [point.at for point in memory_log.read(path).points] == [1.0, 2.0]


def test_a_disk_that_refuses_costs_the_record_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = RunMemory(tmp_path / "no such folder" / "memory.jsonl")
    for second in range(1, 6):
        record.add(at(second), "ram", HELD)
        record.mark(PhaseMark("train", second))
    assert len(record.page().points) == 5
    record.close()
    record.mark(PhaseMark("end", 9.0))
    assert len(caplog.records) == 1


def test_a_record_that_cannot_be_read_is_no_fault_of_the_run(path: Path) -> None:
    path.mkdir()
    record = RunMemory(path)
    record.add(at(1.0), "ram", HELD)
    assert record.page().points == (at(1.0),)
    record.close()


def test_runs_without_a_record_answer_from_their_log(tmp_path: Path) -> None:
    place = tmp_path / log.NAME
    writer = log.LogWriter(place)
    writer.run(RunInfo("0001-a", TrainSpec("demo", "x")))
    writer.mark(PhaseMark("load", 1.0, memory=50, peak=60))
    for step in range(1, 3001):
        writer.point(StepPoint(step, loss=2.0, tokens=100, seconds=0.5, at=10.0 + step, memory=1000 + step))
    writer.point(StepPoint(3000, eval_loss=1.0, at=3010.0, memory=5))
    writer.mark(PhaseMark("end", 4000.0, 3000, memory=900, peak=7000))
    writer.close()
    page = memory_log.read_old(place)
    assert len(page.points) <= 2000
    last = page.points[-1]
    assert (last.step, last.ours, last.tokens_per_s) == (3000, 4000, 200.0)
    assert [mark.peak for mark in page.marks] == [60, 7000]
    assert page.pool == "ram"
    assert memory_log.read(tmp_path / memory_log.NAME) == MemoryPage()
