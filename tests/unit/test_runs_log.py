"""A run's log keeps what was written, whatever happens to the process or the disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.protocol.errors import EngineError
from engine.protocol.runs import PhaseMark, RunInfo, StepPoint, TrainSpec
from engine.runs.log import LogWriter, lines, read
from tests.support.full_disk import file_limit

ROOT = Path(__file__).resolve().parents[2]
KILLED = """
import sys
from engine.protocol.runs import StepPoint
from engine.runs.log import LogWriter
from pathlib import Path
writer = LogWriter(Path(sys.argv[1]))
for step in range(1, 1_000_000):
    writer.point(StepPoint(step, loss=1.0))
    sys.stdout.write(f"{step}\\n")
    sys.stdout.flush()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_what_is_written_is_read_back_in_order(path: Path) -> None:
    writer = LogWriter(path)
    info = RunInfo("0001-a", TrainSpec("demo", "shipped:pirate"), versions={"torch": "2"}, data_hash="ab")
    writer.run(info)
    writer.mark(PhaseMark("first step", 1.0, 1, memory=10, peak=20))
    writer.point(StepPoint(1, loss=2.5, grad_norm=0.5, tokens=10, labelled=4, seconds=0.1, at=2.0, memory=11))
    writer.close()
    found = list(lines(path))
    assert (found[0].run, found[1].mark) == (info, PhaseMark("first step", 1.0, 1, memory=10, peak=20))
    assert found[2].point is not None
    assert found[2].point.grad_norm == 0.5
    assert path.stat().st_mode & 0o777 == 0o600


def test_kill_9_loses_nothing_that_was_told(path: Path) -> None:
    """A real process is killed while it writes as fast as it can."""
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    told = 0
    for line in child.stdout:
        told = int(line)
        if told >= 500:
            break
    child.send_signal(signal.SIGKILL)
    told = max([told, *(int(line) for line in child.stdout if line.endswith("\n"))])
    assert child.wait() == -signal.SIGKILL
    steps = [line.point.step for line in lines(path) if line.point is not None]
    assert steps[:told] == list(range(1, told + 1))


@pytest.mark.parametrize("rest", [b'{"point": {"step": 3, "lo', b"\x00\x00\x00", b"{}garbage"])
def test_half_a_last_line_is_passed_over_and_then_cut_off(path: Path, rest: bytes) -> None:
    writer = LogWriter(path)
    writer.point(StepPoint(1, loss=1.0))
    writer.close()
    with open(path, "ab") as file:
        file.write(rest)
    assert [point.step for point in read(path).points] == [1]
    writer = LogWriter(path)
    writer.point(StepPoint(2, loss=1.0))
    writer.close()
    assert [point.step for point in read(path).points] == [1, 2]
    assert path.read_bytes().count(b"\n") == 2


def test_a_log_without_any_newline_starts_over(path: Path) -> None:
    path.write_bytes(b"no newline at all")
    writer = LogWriter(path)
    writer.point(StepPoint(1, loss=1.0))
    writer.close()
    assert [point.step for point in read(path).points] == [1]


def test_a_full_disk_is_one_sentence_and_keeps_the_whole_lines(path: Path) -> None:
    writer = LogWriter(path)
    writer.point(StepPoint(1, loss=1.0))
    whole = path.read_bytes()
    with file_limit(len(whole) + 10), pytest.raises(EngineError) as caught:
        writer.point(StepPoint(2, loss=1.0))
    assert caught.value.info.code == "disk_full"
    assert "The disk is full" in caught.value.info.sentence()
    assert path.read_bytes() == whole
    writer.point(StepPoint(2, loss=1.0))  # once there is space again
    writer.close()
    assert [point.step for point in read(path).points] == [1, 2]


def test_a_folder_that_refuses_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        LogWriter(tmp_path / "none" / "events.jsonl")
    assert caught.value.info.code == "run_unwritable"


def test_pages_fit_together_without_a_gap_or_a_double(path: Path) -> None:
    """Evaluations share a step with a training point, and marks stand before or after it."""
    writer = LogWriter(path)
    for step in range(1, 31):
        if step == 1:
            writer.mark(PhaseMark("first step", 0.0, 1))
        writer.point(StepPoint(step, loss=1.0 / step))
        if step % 5 == 0:
            writer.mark(PhaseMark("eval", 0.0, step))
            writer.point(StepPoint(step, eval_loss=2.0))
            writer.mark(PhaseMark("train", 0.0, step))
    writer.close()
    whole = read(path)
    points: list[StepPoint] = []
    marks: list[PhaseMark] = []
    since, more = 0, True
    while more:
        page = read(path, since, 7)
        points += page.points
        marks += page.marks
        since, more = page.points[-1].step + 1, page.more
    assert tuple(points) == whole.points
    assert tuple(marks) == whole.marks
    assert len(whole.points) == 36


def test_no_log_is_an_empty_curve(path: Path) -> None:
    assert read(path).points == ()


def test_lines_of_a_later_version_are_passed_over(path: Path) -> None:
    path.write_text('{"weather": "fine"}\n[1]\n{"point": {"step": "x"}}\n{"point": {"step": 4}}\n')
    assert [point.step for point in read(path).points] == [4]


def test_loss_that_is_no_number_does_not_break_the_log(path: Path) -> None:
    writer = LogWriter(path)
    writer.point(StepPoint(1, loss=float("nan"), grad_norm=1.0))
    writer.close()
    assert os.path.getsize(path) > 0
    assert read(path).points[0].loss is None


SPOILT = {
    "cut": b'{"point": {"step": 2, "lo\n',
    "no UTF-8": b"\xff\xfe\xc3\x28\n",
    "NUL": b"\0\0\0\0\n",
    "10 MB": b"x" * 10_000_000 + b"\n",
    "empty": b"\n",
}


@pytest.mark.parametrize("spoilt", SPOILT.values(), ids=SPOILT)
def test_a_spoilt_line_is_counted_and_the_others_load(path: Path, spoilt: bytes) -> None:
    writer = LogWriter(path)
    writer.point(StepPoint(1, loss=2.0))
    writer.close()
    with open(path, "ab") as file:
        file.write(spoilt)
    writer = LogWriter(path)
    writer.point(StepPoint(3, loss=1.0))
    writer.close()
    found = read(path)
    assert [point.step for point in found.points] == [1, 3]
    assert found.damaged == (2,)


def test_a_huge_torn_end_is_cut_off_whole(path: Path) -> None:
    writer = LogWriter(path)
    writer.point(StepPoint(1, loss=2.0))
    writer.close()
    with open(path, "ab") as file:
        file.write(b"x" * 300_000)
    writer = LogWriter(path)
    writer.point(StepPoint(2, loss=1.0))
    writer.close()
    assert path.stat().st_size < 300
    assert ([point.step for point in read(path).points], read(path).damaged) == ([1, 2], ())


def test_the_last_line_of_a_step_counts_and_what_was_given_up_is_gone(path: Path) -> None:
    info = RunInfo("0001-a", TrainSpec("demo", "shipped:pirate"), state="running")
    writer = LogWriter(path)
    for step in range(1, 9):
        writer.point(StepPoint(step, loss=float(step)))
    writer.point(StepPoint(8, eval_loss=0.5))
    writer.run(replace(info, resumed=(4,)))
    writer.point(StepPoint(5, loss=50.0))
    writer.close()
    assert [point.loss for point in read(path).points] == [1.0, 2.0, 3.0, 4.0, 50.0]
    assert [point.loss for point in read(path, since=4).points] == [4.0, 50.0]
    first = read(path, limit=3)
    assert ([point.step for point in first.points], first.more) == ([1, 2, 3], True)


def test_two_threads_never_write_over_each_others_lines(path: Path) -> None:
    """The training thread logs steps while the loop's disk thread logs a new name."""
    writer = LogWriter(path)

    def points(first: int) -> None:
        for step in range(first, first + 1000):
            writer.point(StepPoint(step, loss=1.0))

    threads = [threading.Thread(target=points, args=(first,)) for first in (1, 1001)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    damaged: list[int] = []
    found = [line.point.step for line in lines(path, damaged) if line.point is not None]
    assert (sorted(found), damaged) == (list(range(1, 2001)), [])


def test_a_log_that_was_closed_takes_no_more_lines(path: Path) -> None:
    """Its descriptor may belong to another file by then."""
    writer = LogWriter(path)
    writer.close()
    other = path.with_name("other")
    descriptor = os.open(other, os.O_RDWR | os.O_CREAT)
    with pytest.raises(EngineError) as caught:
        writer.point(StepPoint(1, loss=1.0))
    os.close(descriptor)
    assert caught.value.info.code == "run_unwritable"
    assert other.read_bytes() == b""


def test_a_page_of_a_long_log_holds_no_more_than_it_tells(path: Path) -> None:
    writer = LogWriter(path)
    for step in range(1, 20_001):
        writer.point(StepPoint(step, loss=1.0))
    writer.close()
    tracemalloc.start()
    found = read(path, limit=100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ([point.step for point in found.points], found.more) == (list(range(1, 101)), True)
    assert peak < 2 << 20


def test_a_page_ends_where_a_run_that_went_back_goes_on(path: Path) -> None:
    """Steps beyond the page that were given up do not hide the ones that took their place."""
    info = RunInfo("0001-a", TrainSpec("demo", "shipped:pirate"), state="running")
    writer = LogWriter(path)
    for step in range(1, 30):
        writer.point(StepPoint(step, loss=float(step)))
    writer.run(replace(info, resumed=(4,)))
    for step in range(5, 9):
        writer.point(StepPoint(step, loss=50.0))
    writer.close()
    first, whole = read(path, limit=6), read(path, limit=10)
    assert ([point.step for point in first.points], first.more) == ([1, 2, 3, 4, 5, 6], True)
    assert [point.loss for point in first.points[4:]] == [50.0, 50.0]
    assert ([point.step for point in whole.points], whole.more) == (list(range(1, 9)), False)
