"""A run's files on a bad disk: full, cut off, bits flipped. What is kept is whole, or not taken."""

from __future__ import annotations

import errno
import os
import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from engine.protocol.errors import EngineError  # noqa: E402
from engine.protocol.runs import RunFinding  # noqa: E402
from engine.runs import checkpoints  # noqa: E402
from engine.workers.training import room  # noqa: E402
from tests.support.full_disk import file_limit  # noqa: E402
from tests.support.tiny_run import RecordedRun, TinyRuns, adapter_bytes  # noqa: E402

pytestmark = [pytest.mark.engine, pytest.mark.timeout(3600)]
SPEC = {"steps": 4, "accumulate": 1, "eval_every": 2}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
    return TinyRuns.fresh(tmp_path_factory.mktemp("disk"))


@pytest.fixture(scope="module")
def whole(runs: TinyRuns, tmp_path_factory: pytest.TempPathFactory) -> tuple[RecordedRun, Path]:
    folder, sink = tmp_path_factory.mktemp("whole"), RecordedRun()
    runs.train(folder, sink, **SPEC)
    return sink, folder


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("share", [0, 0.01, 0.25, 0.5, 0.99])
def test_a_file_that_was_cut_is_named_and_the_checkpoint_before_it_taken(
    whole: tuple[RecordedRun, Path], tmp_path: Path, share: float
) -> None:
    """F4: every file, each cut at this share of its length."""
    for name in files_of(whole[1] / "checkpoints" / "step-000004"):
        run = shutil.copytree(whole[1], tmp_path / name.replace("/", "-"))
        file = run / "checkpoints" / "step-000004" / name
        os.truncate(file, int(file.stat().st_size * share))
        found, skipped = checkpoints.newest(run)
        assert found == run / "checkpoints" / "step-000002"
        assert name in skipped[0]
        with pytest.raises(EngineError):
            checkpoints.adapter_folder(run, 4)


def test_every_flipped_bit_is_found(
    whole: tuple[RecordedRun, Path], tmp_path: Path, full: bool, chance: random.Random
) -> None:
    """F4: in every file of a checkpoint, also where it describes itself."""
    run = shutil.copytree(whole[1], tmp_path / "run")
    folder = run / "checkpoints" / "step-000004"
    for name in files_of(folder):
        file = folder / name
        data = file.read_bytes()
        for _ in range(100 if full else 12):
            place, bit = chance.randrange(len(data)), chance.randrange(8)
            file.write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
            found, skipped = checkpoints.newest(run)
            assert found == run / "checkpoints" / "step-000002", (name, place, bit)
            assert name in skipped[0]
        file.write_bytes(data)
    assert checkpoints.newest(run) == (folder, [])


def test_a_damaged_checkpoint_is_passed_over_and_the_run_ends_the_same(
    runs: TinyRuns, whole: tuple[RecordedRun, Path], tmp_path: Path
) -> None:
    run = shutil.copytree(whole[1], tmp_path / "run")
    damaged = run / "checkpoints" / "step-000004"
    os.truncate(damaged / "optimiser.safetensors", 100)
    sink = RecordedRun()
    assert runs.train(run, sink, damaged, **SPEC).step == 4
    [finding] = sink.findings
    assert finding.code == "checkpoint_skipped"
    assert "optimiser.safetensors has 100 bytes" in finding.title
    assert sorted(sink.losses) == [3, 4]
    assert adapter_bytes(run) == adapter_bytes(whole[1])
    assert checkpoints.newest(run) == (damaged, [])


class FullAt:
    """Every call that puts something on the disk, of which the n-th and all after it find the disk full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, n: int) -> None:
        self.calls = 0
        self.limit = n
        for name in ("fsync", "replace", "rename"):
            monkeypatch.setattr(os, name, self._counting(getattr(os, name)))

    def _counting(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **named: Any) -> Any:
            self.calls += 1
            if self.limit and self.calls >= self.limit:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*given, **named)

        return counted


class FreeingSoon(RecordedRun):
    """Makes room a moment after the run has said that it needs some."""

    def __init__(self, run: Path, disk: FullAt) -> None:
        super().__init__()
        self._run, self._disk = run, disk

    def found(self, finding: RunFinding) -> None:
        super().found(finding)
        newest, _ = checkpoints.newest(self._run)
        assert (checkpoints.step_of(newest) if newest else 0) >= max(self.checkpoints, default=0)
        threading.Timer(0.05, setattr, (self._disk, "limit", 0)).start()


def test_a_disk_that_is_full_at_any_write_holds_the_run_up_and_no_more(
    runs: TinyRuns,
    whole: tuple[RecordedRun, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    full: bool,
) -> None:
    """F3: the checkpoint before stays good, the run says what it needs, and goes on once there is space."""
    monkeypatch.setattr(room, "RETRY_SECONDS", 0.01)
    with monkeypatch.context() as patch:
        counter = FullAt(patch, 0)
        runs.train(tmp_path / "count", **SPEC)
    writes = counter.calls
    refused = range(1, writes + 1, 1 if full else max(1, writes // 4))
    print(f"{len(refused)} of {writes} writes are refused in turn")
    for n in refused:
        run = tmp_path / str(n)
        with monkeypatch.context() as patch:
            disk = FullAt(patch, n)

            sink = FreeingSoon(run, disk)
            assert runs.train(run, sink, **SPEC).step == 4
        assert all(finding.code == "disk_full" for finding in sink.findings)
        assert all(str(run) in finding.title and " bytes" in finding.title for finding in sink.findings)
        assert ("paused" in sink.phases) == bool(sink.findings)
        assert sink.losses == whole[0].losses
        assert adapter_bytes(run) == adapter_bytes(whole[1])
        assert checkpoints.leftovers(run) == []


def test_too_little_space_is_seen_before_anything_is_written(
    runs: TinyRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a run that is stopped while it waits ends with the fault, its last checkpoint kept."""
    monkeypatch.setattr(room, "RETRY_SECONDS", 0.01)
    real = shutil.disk_usage

    class Filling(RecordedRun):
        def phase(self, phase, step=0):  # type: ignore[no-untyped-def]
            if (phase, step) == ("save", 4):
                usage = real(tmp_path)
                monkeypatch.setattr(room.shutil, "disk_usage", lambda _: usage._replace(free=1000))
            return super().phase(phase, step)

        def found(self, finding: RunFinding) -> None:
            super().found(finding)
            self.stopped.set()

    sink = Filling()
    with pytest.raises(EngineError) as caught:
        runs.train(tmp_path, sink, **SPEC)
    assert (caught.value.info.code, caught.value.info.retryable) == ("disk_full", True)
    assert "has 1,000 bytes free, and a checkpoint needs" in sink.findings[0].title
    assert checkpoints.newest(tmp_path)[0] == tmp_path / "checkpoints" / "step-000002"


def test_files_that_may_not_grow_hold_the_run_up(
    runs: TinyRuns, whole: tuple[RecordedRun, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel itself refuses, in the middle of a file."""
    import resource

    monkeypatch.setattr(room, "RETRY_SECONDS", 0.01)

    class Freeing(RecordedRun):
        def found(self, finding: RunFinding) -> None:
            super().found(finding)
            assert checkpoints.newest(tmp_path) == (None, [])
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    sink = Freeing()
    with file_limit(20_000):
        runs.train(tmp_path, sink, **SPEC)
    assert [finding.code for finding in sink.findings] == ["disk_full"]
    assert adapter_bytes(tmp_path) == adapter_bytes(whole[1])
