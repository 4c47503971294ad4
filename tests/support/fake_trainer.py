"""A backend without torch whose trainer does what a test says, through the real sink and lanes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from engine.protocol.runs import Estimate, StepPoint, TrainSpec
from engine.protocol.specs import ModelInfo
from engine.runs import checkpoints
from engine.training import RunJob, RunOutcome, RunSink
from tests.support.model_folders import adapter_folder

SAVE_EVERY = 10
"""Steps between evaluations, each with an adapter and a checkpoint."""


class FakeTrainer:
    """Steps as fast as the test lets it; saves, stands still, parks and goes on as the real one does."""

    def __init__(self) -> None:
        self.jobs: list[RunJob] = []
        self.go = threading.Event()
        """Clear it to hold a run before its next step."""
        self.go.set()
        self.at_step: Callable[[RunJob, RunSink, int], None] = lambda job, sink, step: None
        self.estimated: list[str] = []
        self.turns: list[tuple[str, int]] = []
        """(name, step before it) of every turn of a race's members."""
        self.loss: Callable[[RunJob, int], float] = lambda job, step: 1.0
        """What a member's evaluation says."""

    def estimate(self, spec: TrainSpec, model: ModelInfo, data: str) -> Estimate:
        self.estimated.append(f"{spec.model} {data}")
        return Estimate(rows=2, steps=spec.steps)

    def train(self, job: RunJob, sink: RunSink, *, save_on_stop: threading.Event) -> RunOutcome:
        self.jobs.append(job)
        folder = Path(job.folder) / "adapter"
        sink.phase("data")
        sink.sized(job.spec.steps)
        step = first = checkpoints.step_of(Path(job.checkpoint)) if job.checkpoint else 0
        for step in range(first + 1, job.spec.steps + 1):
            while not self.go.wait(0.01) and not (sink.stopped.is_set() or sink.pausing.is_set()):
                continue
            if step == first + 1:
                sink.phase("first step", step)
            self.at_step(job, sink, step)
            sink.point(StepPoint(step, loss=2.0 / step, tokens=100, labelled=40, seconds=0.01))
            if step % SAVE_EVERY == 0:
                sink.phase("eval", step)
                sink.point(StepPoint(step, eval_loss=1.0))
                self._save(folder, job)
                self._checkpoint(job, sink, step)
            if sink.pausing.is_set() and not sink.stopped.is_set() and self._parks(sink, step):
                self._checkpoint(job, sink, step)
                return RunOutcome(step, parked=True, loss=2.0 / step)
            if sink.stopped.is_set():
                break
        if step == job.spec.steps or save_on_stop.is_set():
            self._save(folder, job)
        saved = str(folder) if folder.is_dir() else ""
        return RunOutcome(step, saved, loss=2.0 / max(step, 1))

    def member(self, job: RunJob, sink: RunSink, *, save_on_stop: threading.Event) -> FakeMember:
        self.jobs.append(job)
        return FakeMember(self, job, sink, save_on_stop)

    def _parks(self, sink: RunSink, step: int) -> bool:
        """Stand still; whether to park."""
        sink.phase("paused", step)
        while sink.pausing.is_set() and not sink.stopped.is_set():
            if sink.pause_mode == "park":
                return True
            sink.stopped.wait(0.01)
        sink.phase("train", step)
        return False

    def _save(self, folder: Path, job: RunJob) -> None:
        if not folder.is_dir():
            adapter_folder(folder, job.model.path)

    def _checkpoint(self, job: RunJob, sink: RunSink, step: int) -> None:
        place = checkpoints.place(Path(job.folder)) / checkpoints.name(step)
        if not place.is_dir():
            saved_checkpoint(Path(job.folder), step, base=job.model.path)
        sink.saved(step, str(place))


class FakeMember:
    """Takes as many steps as it is told to; at each evaluation `FakeTrainer.loss` says how good it is."""

    def __init__(
        self, trainer: FakeTrainer, job: RunJob, sink: RunSink, save_on_stop: threading.Event
    ) -> None:
        self._trainer, self._job, self._sink, self._save = trainer, job, sink, save_on_stop
        self._step = checkpoints.step_of(Path(job.checkpoint)) if job.checkpoint else 0
        self._steps = job.spec.steps
        self._begun = False

    def turn(self, steps: int, *, last: bool = False) -> RunOutcome | None:
        trainer, job, sink = self._trainer, self._job, self._sink
        if not self._begun:
            sink.phase("data")
            sink.sized(self._steps)
            self._begun = True
        if last and not sink.stopped.is_set():
            self._steps = self._step + 1
            sink.sized(self._steps)
        trainer.turns.append((job.spec.name, self._step))
        for _ in range(steps):
            if sink.stopped.is_set() or sink.pausing.is_set() or self._step == self._steps:
                break
            self._step += 1
            trainer.at_step(job, sink, self._step)
            sink.point(StepPoint(self._step, loss=2.0 / self._step, tokens=100, seconds=0.01))
            if self._step % SAVE_EVERY == 0 or self._step == self._steps:
                sink.point(StepPoint(self._step, eval_loss=trainer.loss(job, self._step)))
                trainer._save(Path(job.folder) / "adapter", job)
                trainer._checkpoint(job, sink, self._step)
        if sink.pausing.is_set() and not sink.stopped.is_set():
            trainer._checkpoint(job, sink, self._step)
            return RunOutcome(self._step, parked=True)
        if sink.stopped.is_set() or self._step == self._steps:
            trainer._save(Path(job.folder) / "adapter", job)
            saved = str(Path(job.folder) / "adapter")
            return RunOutcome(self._step, saved, eval_loss=trainer.loss(job, self._step))
        return None


def saved_checkpoint(run: Path, step: int, *, base: str = "", eval_loss: float | None = 1.0) -> Path:
    """A checkpoint with an adapter (where `base` is a model's folder) and a file of tensors in its place."""
    place = checkpoints.place(run) / checkpoints.name(step)
    place.mkdir(parents=True)
    if base:
        adapter_folder(place / checkpoints.ADAPTER, base)
    (place / "weights.safetensors").write_bytes(bytes(range(256)) * 4)
    manifest = checkpoints.Manifest(step, checkpoints.described(place), eval_loss=eval_loss)
    checkpoints.write_manifest(place, manifest)
    return place


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
