"""A backend without torch whose trainer does what a test says, through the real sink and lanes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from engine.protocol.runs import Estimate, StepPoint, TrainSpec
from engine.protocol.specs import ModelInfo
from engine.training import RunJob, RunOutcome, RunSink
from tests.support.model_folders import adapter_folder


class FakeTrainer:
    """Steps as fast as the test lets it; saves an adapter every tenth step, as the real one does."""

    def __init__(self) -> None:
        self.jobs: list[RunJob] = []
        self.go = threading.Event()
        """Clear it to hold a run before its next step."""
        self.go.set()
        self.at_step: Callable[[RunJob, RunSink, int], None] = lambda job, sink, step: None
        self.estimated: list[str] = []

    def estimate(self, spec: TrainSpec, model: ModelInfo, data: str) -> Estimate:
        self.estimated.append(f"{spec.model} {data}")
        return Estimate(rows=2, steps=spec.steps)

    def train(self, job: RunJob, sink: RunSink, *, save_on_stop: threading.Event) -> RunOutcome:
        self.jobs.append(job)
        folder, saved = Path(job.folder) / "adapter", False
        sink.phase("data")
        sink.sized(job.spec.steps)
        step = 0
        for step in range(1, job.spec.steps + 1):
            while not self.go.wait(0.01) and not sink.stopped.is_set():
                continue
            if step == 1:
                sink.phase("first step", 1)
            self.at_step(job, sink, step)
            sink.point(StepPoint(step, loss=2.0 / step, tokens=100, labelled=40, seconds=0.01))
            if step % 10 == 0:
                sink.phase("eval", step)
                sink.point(StepPoint(step, eval_loss=1.0))
                saved = self._save(folder, job, saved=saved)
            if sink.stopped.is_set():
                break
        if step == job.spec.steps or save_on_stop.is_set():
            saved = self._save(folder, job, saved=saved)
        return RunOutcome(step, str(folder) if saved else "", loss=2.0 / step)

    def _save(self, folder: Path, job: RunJob, *, saved: bool) -> bool:
        if not saved:
            adapter_folder(folder, job.model.path)
        return True


class FakeBackend:
    """As much of engine.backend.Backend as a run needs."""

    def __init__(self) -> None:
        self.trainer = FakeTrainer()
        self.loaded: list[str] = []

    def load(
        self, spec: Any, progress: Callable[[float, str], None], cancelled: threading.Event
    ) -> ModelInfo:
        self.loaded.append(spec.model.id)
        return replace(spec.model, state="ready", memory=1)

    def unload(self, model: str) -> None:
        self.loaded.remove(model)
