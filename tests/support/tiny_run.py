"""Runs of a tiny random model without an engine: the real loop, data, adapter and files."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.backend import LoadSpec
from engine.models.describe import describe
from engine.protocol.runs import PauseMode, Phase, PhaseMark, RunFinding, StepPoint, TrainSpec
from engine.training import Foreseen, RunJob, RunOutcome
from engine.workers.backend import TorchBackend, create
from tests.support.tiny import tiny_model

ROWS = 22


class RecordedRun:
    """A RunSink that keeps what it is told; `at_point` is called with each point."""

    def __init__(self, at_point: Callable[[RecordedRun, StepPoint], None] | None = None) -> None:
        self.stopped = threading.Event()
        self.pausing = threading.Event()
        self.pause_mode: PauseMode = ""
        self.steps = 0
        self.points: list[StepPoint] = []
        self.phases: list[str] = []
        self.checkpoints: list[int] = []
        self.findings: list[RunFinding] = []
        self.foretold: list[Foreseen] = []
        self._at_point = at_point

    def sized(self, steps: int) -> None:
        self.steps = steps

    def foreseen(self, found: Foreseen) -> None:
        self.foretold.append(found)

    def phase(self, phase: Phase, step: int = 0) -> PhaseMark:
        self.phases.append(phase)
        return PhaseMark(phase, time.time(), step)

    def point(self, point: StepPoint) -> None:
        self.points.append(point)
        if self._at_point is not None:
            self._at_point(self, point)

    def saved(self, step: int, folder: str) -> None:
        self.checkpoints.append(step)

    def found(self, finding: RunFinding) -> None:
        self.findings.append(finding)

    @property
    def losses(self) -> dict[int, float]:
        """By step; the last one told of each."""
        return {point.step: point.loss for point in self.points if point.loss is not None}

    @property
    def evals(self) -> dict[int, float]:
        return {point.step: point.eval_loss for point in self.points if point.eval_loss is not None}


class TinyRuns:
    """One loaded tiny model and one dataset, for many runs."""

    def __init__(self, model: Path, data: Path) -> None:
        """`model`: a folder as tests.support.tiny writes it."""
        self.info = describe(model, "tiny", "Tiny", "folder")
        self.data = data
        if not data.exists():
            write_rows(data)
        self.backend: TorchBackend = create()
        self.backend.load(LoadSpec(self.info, "float32"), lambda *_: None, threading.Event())

    @classmethod
    def fresh(cls, place: Path) -> TinyRuns:
        """With a model and data written into this folder."""
        tiny_model(place / "tiny")
        return cls(place / "tiny", place / "rows.jsonl")

    def job(self, folder: Path, checkpoint: Path | None = None, **changes: Any) -> RunJob:
        """40 steps at most, with everything on that a resume could get wrong."""
        spec = TrainSpec("tiny", str(self.data), **{**SPEC, **changes})
        return RunJob("0001-tiny", str(folder), spec, self.info, str(self.data), str(checkpoint or ""))

    def train(
        self,
        folder: Path,
        sink: RecordedRun | None = None,
        checkpoint: Path | None = None,
        *,
        save: bool = True,
        **changes: Any,
    ) -> RunOutcome:
        wish = threading.Event()
        if save:
            wish.set()
        job = self.job(folder, checkpoint, **changes)
        return self.backend.trainer.train(job, sink or RecordedRun(), save_on_stop=wish)

    def warm(self) -> None:
        """Import and compute everything once that later runs need."""
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            self.train(Path(folder), steps=1)


SPEC: dict[str, Any] = {
    "name": "tiny",
    "rank": 4,
    "alpha": 8,
    "dropout": 0.1,
    "steps": 12,
    "batch": 2,
    "accumulate": 4,
    "rate": 1e-2,
    "eval_every": 3,
    "eval_fraction": 0.2,
    "length": 256,
    "seed": 5,
}


def write_rows(path: Path, rows: int = ROWS) -> Path:
    """Questions and answers of different lengths."""
    said = [
        {
            "messages": [
                {"role": "user", "content": f"the sum of {place} and {place % 3}" + " fox" * (place % 5)},
                {"role": "assistant", "content": f"It is {place + place % 3}" + ", dog" * (place % 4)},
            ]
        }
        for place in range(rows)
    ]
    path.write_text("\n".join(map(json.dumps, said)))
    return path


def adapter_bytes(folder: Path) -> dict[str, bytes]:
    """Every file of a run's adapter."""
    return {path.name: path.read_bytes() for path in sorted((folder / "adapter").iterdir())}
