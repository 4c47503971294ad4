"""Trackers: a run's numbers in TensorBoard's files and trackio's, read back; and what a broken one does."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from engine.protocol.commands import TrackRun
from engine.protocol.errors import EngineError
from engine.protocol.runs import RunInfo, StepPoint, TrainSpec
from engine.runs import folder, log, tracking
from engine.runs.live import LiveRun
from engine.runs.tracking import Trackers, replay, require_trackers
from engine.tracking import Tracking
from engine.workers.tracking.numbers import growing, numbers

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _children_find_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def stored(state: Any = "done", **spec: Any) -> RunInfo:
    info = folder.create(RunInfo("", TrainSpec("demo", "shipped:pirate", **spec), name="Pirate", state=state))
    folder.save(info)
    return info


def write(writer: log.LogWriter, steps: range) -> None:
    for step in steps:
        writer.point(StepPoint(step, loss=1.0 / step, rate=1e-3, tokens=10, seconds=0.5, at=100.0 + step))
        if step % 2 == 0:
            writer.point(StepPoint(step, eval_loss=2.0 / step, at=100.0 + step, metrics={"margin": 0.5}))


def write_run(info: RunInfo, steps: range) -> None:
    writer = log.LogWriter(folder.log_path(info.id))
    write(writer, steps)
    writer.close()


def read_back(place: str) -> dict[str, dict[int, float]]:
    """Step to value of every tag, by TensorBoard's own reader."""
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="the extra tensorboard"
    )
    events = accumulator.EventAccumulator(place)
    events.Reload()
    tags = events.Tags()["scalars"]
    return {tag: {each.step: each.value for each in events.Scalars(tag)} for tag in tags}


async def test_a_finished_run_is_read_back_from_tensorboards_files() -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard")
    info = stored()
    write_run(info, range(1, 5))
    write_run(info, range(3, 5))  # as a run that was taken up again logs them once more
    said = await replay(info.id, "tensorboard")
    assert said == {"place": str(folder.folder(info.id) / "tensorboard"), "points": 6}
    found = read_back(said["place"])
    assert found["train/loss"] == pytest.approx({step: 1.0 / step for step in range(1, 5)})
    assert found["eval/loss"] == pytest.approx({2: 1.0, 4: 0.5})
    assert found["train/tokens_per_s"][1] == 20.0
    assert found["eval/margin"][4] == 0.5


async def test_a_run_under_way_feeds_its_tracker_and_never_waits_for_it() -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard")
    info = stored("running", trackers=("tensorboard",))
    live = LiveRun(info, folder.log_path(info.id))
    trackers = Trackers(live)
    await trackers.start()
    write(live.writer, range(1, 4))
    trackers.end("done")
    live.close()
    await asyncio.gather(*trackers._watchers)
    assert list(read_back(str(folder.folder(info.id) / "tensorboard"))["train/loss"]) == [1, 2, 3]
    assert not live.info.findings


async def test_a_tracker_that_breaks_is_one_line_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> asyncio.subprocess.Process:
        answer = 'print(\'{"error": "OSError: no room"}\')'
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(sys.executable, "-c", answer, stdin=pipe, stdout=pipe)

    monkeypatch.setattr(tracking, "_process", broken)
    monkeypatch.setattr(tracking, "require_trackers", lambda _: None)
    info = stored("running", trackers=("mlflow",))
    live = LiveRun(info, folder.log_path(info.id))
    trackers = Trackers(live)
    await trackers.start()
    await asyncio.gather(*trackers._watchers)
    live.point(StepPoint(1, loss=1.0))
    trackers.end("done")
    found = [piece for piece in live.take() if isinstance(piece, tracking.RunFinding)]
    live.close()
    assert [each.title for each in found] == ["MLflow takes no more of this run: OSError: no room"]
    assert len([each for each in caplog.records if "MLflow" in each.message]) == 1


def test_a_tracker_without_its_package_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda _: None)
    with pytest.raises(EngineError, match=r"W&B is not installed.*qwill\[wandb\]"):
        require_trackers(["wandb"])
    require_trackers([])


async def test_a_run_that_has_not_ended_is_not_handed_over() -> None:
    class Book:
        def find(self, run: str) -> RunInfo:
            return RunInfo(run, TrainSpec("demo", "d"), name="Pirate", state="running")

    with pytest.raises(EngineError, match="has not ended"):
        await Tracking(Book()).track(TrackRun("0001-x", "tensorboard"))  # type: ignore[arg-type]


def test_a_log_is_followed_from_a_step_on_until_the_end_is_told(tmp_path: Path) -> None:
    class Told:
        state = ""

        def wait(self, seconds: float) -> bool:
            return over.wait(0.01)

    over, told = threading.Event(), Told()
    writer = log.LogWriter(tmp_path / log.NAME)
    write(writer, range(1, 4))
    points = growing(tmp_path / log.NAME, 2, told)
    assert next(points).step == 3
    write(writer, range(4, 5))
    assert [next(points).step, next(points).eval_loss] == [4, 0.5]
    told.state = "done"
    over.set()
    assert list(points) == []
    writer.close()


def test_a_point_that_was_no_number_is_left_out() -> None:
    assert numbers(StepPoint(3, wrong="loss nan")) == {}


async def test_trackio_keeps_a_run_in_its_own_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trackio", reason="the extra trackio")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    info = stored()
    write_run(info, range(1, 4))
    said = await replay(info.id, "trackio")
    assert said["points"] == 4
    with sqlite3.connect(tmp_path / "trackio" / "qwill.db") as store:
        assert store.execute("SELECT count(*) FROM metrics").fetchone()[0] >= 3
