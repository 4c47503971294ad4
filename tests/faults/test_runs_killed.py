"""kill -9 of a run at random moments, also inside a save: it goes on, and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest

pytest.importorskip("torch")

from tests.support.pty_app import ROOT  # noqa: E402
from tests.support.tiny import tiny_model  # noqa: E402
from tests.support.tiny_run import adapter_bytes  # noqa: E402

pytestmark = [pytest.mark.engine, pytest.mark.timeout(3600)]
SLOW = 0.004
"""Seconds before and after each thing that a save does to the disk, where a kill is to fall into a save."""
SAVE_SECONDS = 0.4
"""That such a save takes, about."""
PATIENCE = 300


class Zygote:
    """The process that forks runs, and what they tell."""

    def __init__(self, place: Path) -> None:
        tiny_model(place / "tiny")
        env = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.killable", place / "tiny", place / "rows.jsonl"],
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._told: Queue[dict[str, Any]] = Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.until("ready")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._told.put(json.loads(line))

    def until(self, *keys: str) -> dict[str, Any]:
        """What is told next that has one of these keys."""
        while True:
            told = self._told.get(timeout=PATIENCE)
            if any(key in told for key in keys):
                return told

    def fork(self, folder: Path, spec: dict[str, int], slow: float = 0.0) -> int:
        """A child that takes the run up; returns its process id."""
        assert self.process.stdin is not None
        order = {"folder": str(folder), "slow": slow, "spec": spec}
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        return int(self.until("child")["child"])

    def ended(self, seconds: float) -> dict[str, Any] | None:
        """How the child ended within so many seconds; None when it still runs."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                told = self._told.get(timeout=left)
            except Empty:
                break
            if "done" in told or "failed" in told:
                return told
        return None

    def saving(self) -> dict[str, Any] | None:
        """Wait for the child's next save; how it ended, when it ends before."""
        while True:
            told = self._told.get(timeout=PATIENCE)
            if told.get("phase") == "save":
                return None
            if "done" in told or "failed" in told:
                return told


@pytest.fixture
def zygote(tmp_path: Path) -> Iterator[Zygote]:
    zygote = Zygote(tmp_path)
    yield zygote
    zygote.process.kill()
    zygote.process.wait()


def points(folder: Path) -> dict[str, dict[int, float]]:
    """Losses and evaluations by step: the last one told of each."""
    found: dict[str, dict[int, float]] = {"loss": {}, "eval_loss": {}}
    log = folder / "points.jsonl"
    for line in log.read_text().splitlines() if log.exists() else ():
        point = json.loads(line)
        for name, values in found.items():
            if name in point:
                values[point["step"]] = point[name]
    return found


def test_killed_runs_go_on_and_end_the_same(
    zygote: Zygote, tmp_path: Path, full: bool, chance: random.Random
) -> None:
    """F1 and F2: half of the kills fall into a save."""
    kills, saves = (200, 100) if full else (4, 2)
    spec = {"steps": 40, "eval_every": 5} if full else {"steps": 6, "eval_every": 2, "accumulate": 2}
    reference = tmp_path / "reference"
    zygote.fork(reference, spec)
    began = time.monotonic()
    assert zygote.until("done", "failed") == {"done": spec["steps"]}
    longest = time.monotonic() - began
    zygote.until("gone")
    expected = points(reference), adapter_bytes(reference)

    killed, inside, finished, skips, lost = 0, 0, 0, 0, 0
    folder, reached = tmp_path / "run-0", 0
    while killed < kills:
        in_save = inside < saves and killed % 2 == 0
        child = zygote.fork(folder, spec, SLOW if in_save else 0.0)
        told = zygote.until("resumed", "failed")
        assert "failed" not in told, told
        skips += len(told["skipped"])
        lost = max(lost, reached - told["resumed"])
        ended = zygote.saving() if in_save else None
        if ended is None:
            ended = zygote.ended(chance.uniform(0, SAVE_SECONDS if in_save else longest))
        assert ended is None or "done" in ended, ended
        if ended is None:
            os.kill(child, signal.SIGKILL)
            killed += 1
            inside += in_save
        zygote.until("gone")
        reached = max(points(folder)["loss"], default=0)
        if ended is not None:
            assert (points(folder), adapter_bytes(folder)) == expected
            finished += 1
            folder, reached = tmp_path / f"run-{finished}", 0
    zygote.fork(folder, spec)
    assert zygote.until("done", "failed") == {"done": spec["steps"]}
    zygote.until("gone")
    assert (points(folder), adapter_bytes(folder)) == expected
    assert skips == 0
    assert lost <= spec["eval_every"]
    print(f"{killed} kills, {inside} inside a save; {finished + 1} runs ended as the untouched one")
    print(f"{lost} steps were taken again at most; {skips} checkpoints were passed over")
