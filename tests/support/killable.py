"""Runs in processes that a test kills: one process has imported everything and forks a child for each run.

    python -m tests.support.killable MODEL DATA    # then a line of JSON on stdin for each child

A child takes up the newest checkpoint of its run folder, writes each point to `points.jsonl` there, and tells
its process id, its phases and its end on stdout. torch starts no threads here before or after a fork.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from engine import files
from engine.protocol.runs import PhaseMark, StepPoint
from engine.runs import checkpoints
from engine.workers.training import checkpoint
from tests.support.tiny_run import RecordedRun, TinyRuns


class ToldRun(RecordedRun):
    """Tells its phases, and keeps its points in a file, as a run's log does."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._log = os.open(folder / "points.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def phase(self, phase: Any, step: int = 0) -> PhaseMark:
        tell(phase=phase, step=step)
        return super().phase(phase, step)

    def point(self, point: StepPoint) -> None:
        os.write(self._log, msgspec.json.encode(point) + b"\n")


def tell(**what: Any) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def dawdle(seconds: float) -> None:
    """Wait before and after everything that a save does to the disk."""
    if not seconds:
        return

    def slowly(call: Callable[..., Any]) -> Callable[..., Any]:
        def slow(*given: Any, **named: Any) -> Any:
            time.sleep(seconds)
            try:
                return call(*given, **named)
            finally:
                time.sleep(seconds)

        return slow

    for name in ("fsync", "rename", "replace", "mkdir"):
        setattr(os, name, slowly(getattr(os, name)))
    files.sync_folder = slowly(files.sync_folder)
    checkpoint.shutil.rmtree = slowly(checkpoint.shutil.rmtree)  # type: ignore[attr-defined]


def child(runs: TinyRuns, order: dict[str, Any]) -> None:
    """One run from its newest checkpoint on."""
    folder = Path(order["folder"])
    folder.mkdir(exist_ok=True)
    dawdle(order["slow"])
    newest, skipped = checkpoints.newest(folder)
    tell(resumed=checkpoints.step_of(newest) if newest else 0, skipped=skipped)
    outcome = runs.train(folder, ToldRun(folder), newest, **order["spec"])
    tell(done=outcome.step)


def main() -> None:
    runs = TinyRuns(Path(sys.argv[1]), Path(sys.argv[2]))
    runs.warm()
    tell(ready=True)
    for line in sys.stdin:
        order = json.loads(line)
        process = os.fork()
        if process == 0:
            try:
                tell(child=os.getpid())
                child(runs, order)
            except BaseException as error:
                tell(failed=f"{type(error).__name__}: {error}")
            os._exit(0)
        os.waitpid(process, 0)
        tell(gone=process)


if __name__ == "__main__":
    main()
