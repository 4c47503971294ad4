"""One run by several processes: torchrun, two gloo ranks, the single process's losses."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine.protocol.errors import EngineError
from engine.protocol.training import TrainSpec
from engine.runs import log
from engine.workers import launch
from engine.workers.training.ranks import _Share, check_dealt
from tests.support.tiny import tiny_model
from tests.support.tiny_run import RecordedRun, TinyRuns, write_rows

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
COMMON = {
    "rank": 4, "steps": 4, "accumulate": 2, "rate": 1e-2, "eval_every": 2,
    "eval_fraction": 0.2, "length": 256, "seed": 5, "dropout": 0.0,
}  # fmt: skip
HEAVY = pytest.mark.skipif(
    not os.environ.get("QWILL_FAULTS"), reason="QWILL_FAULTS=1 runs it: starts torch often"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, data, and run.toml for a process of batch 2."""
    folder = tmp_path_factory.mktemp("launch")
    tiny_model(folder / "model")
    write_rows(folder / "rows.jsonl")
    write_toml(folder / "run.toml", batch=2)
    return folder


def write_toml(path: Path, **changes: Any) -> None:
    keys = {"model": "./model", "data": "rows.jsonl", "name": "tiny", **COMMON, **changes}
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items()))


def launched(place: Path, out: str, *options: str, ranks: int = 2) -> subprocess.Popen[str]:
    """torchrun in a session of its own, as many ranks as told."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ["--master-addr=127.0.0.1", f"--master-port={port}"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", *where, f"--nproc_per_node={ranks}"]
    ours = ["-m", "engine.workers.launch", "run.toml", "--out", out, "--json", *options]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*torchrun, *ours], cwd=place, env=env, stdout=subprocess.PIPE, text=True)


def record(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The last line: how it ended."""
    out, _ = process.communicate(timeout=270)
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    found: dict[str, Any] = lines[-1]
    return found


def alone(place: Path, tmp_path: Path) -> dict[int, float]:
    """Losses of one process that has the whole batch."""
    runs, sink = TinyRuns(place / "model", place / "rows.jsonl"), RecordedRun()
    runs.train(tmp_path, sink, **COMMON, batch=4)
    return sink.losses


def test_two_ranks_by_torchrun_learn_what_one_process_learns(place: Path, tmp_path: Path) -> None:
    found = record(launched(place, str(tmp_path / "out"), "--processes", "2"))
    assert (found["state"], found["world"], found["backend"]) == ("done", 2, "gloo")
    assert found["losses"] == pytest.approx(list(alone(place, tmp_path / "one").values()), abs=1e-5)
    assert (Path(found["adapter_folder"]) / "adapter_model.safetensors").is_file()
    page = log.read(tmp_path / "out" / log.NAME)
    assert [point.loss for point in page.points if point.loss is not None] == found["losses"]


@HEAVY
def test_shared_layers_learn_what_whole_ones_do(place: Path, tmp_path: Path) -> None:
    found = record(launched(place, str(tmp_path / "out"), "--fsdp"))
    assert (found["world"], found["sharded"]) == (2, True)
    assert found["losses"] == pytest.approx(list(alone(place, tmp_path / "one").values()), abs=1e-5)


@HEAVY
@pytest.mark.parametrize("more", [(), ("--fsdp",)])
def test_sigterm_saves_and_another_number_of_ranks_goes_on(
    place: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    out = tmp_path / "out"
    write_toml(place / "run.toml", batch=2, steps=400, save_every=100)
    try:
        first = launched(place, str(out), *more)
        deadline = time.monotonic() + 100
        while not any(point.step >= 2 for point in log.read(out / log.NAME).points):
            assert time.monotonic() < deadline, "it took no step"
            time.sleep(0.05)
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=100)
        info = json.loads((out / "info.json").read_bytes())
        assert info["state"] == "stopped"
        assert list((out / "checkpoints").iterdir())
        write_toml(place / "run.toml", batch=4, steps=info["step"] + 2)
        again = record(launched(place, str(out), "--resume", ranks=1))
        assert (again["state"], again["step"], again["world"]) == ("done", info["step"] + 2, 1)
    finally:
        write_toml(place / "run.toml", batch=2)


def test_a_rank_computes_its_share_and_nothing_of_what_is_left_for_others() -> None:
    def summed(student: object, batch: list[int]) -> tuple[torch.Tensor, dict[str, float]]:
        return torch.tensor(float(sum(batch)), requires_grad=True), {"margin": float(len(batch))}

    inner: Any = SimpleNamespace(summed=summed, weight=len)
    shares = [_Share(inner, index, 2) for index in (0, 1)]
    batch = [1, 2, 4]
    assert [float(share.summed(None, batch)[0]) for share in shares] == [5.0, 2.0]
    assert shares[1].weight(batch) == 3
    loss, metrics = shares[1].summed(None, [7])
    assert (float(loss), metrics, loss.requires_grad) == (0.0, {"margin": 0.0}, True)


def test_a_run_that_compares_rows_of_a_batch_is_refused_on_several() -> None:
    with pytest.raises(EngineError, match="kto compares"):
        check_dealt(TrainSpec("m", "d", objective="kto"), 2)
    check_dealt(TrainSpec("m", "d", objective="kto"), 1)


def test_fewer_processes_than_asked_for_are_refused(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [str(place / "run.toml"), "--out", str(tmp_path / "out"), "--processes", "2", "--json"]
    assert launch.main(argv) == launch.FAILED
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "wrong_world"
    assert "accelerate launch --cpu" in error["detail"]
    assert not (tmp_path / "out").exists()


def test_accelerate_that_starts_one_process_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    launch._check_world(1, 0, first=True)
    assert "one process only" in capsys.readouterr().out
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(EngineError, match="DeepSpeed"):
        launch._check_world(2, 0, first=True)


def test_a_folder_with_a_run_in_it_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / log.NAME).write_text("")
    with pytest.raises(EngineError, match="--resume"):
        launch._checkpoint(tmp_path, resume=False)
    with pytest.raises(EngineError, match="no checkpoint"):
        launch._checkpoint(tmp_path, resume=True)
