"""Our side: the run's own loop on the backend that the engine uses."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.backend import LoadSpec
from engine.bench_training import SideJob, TrainJob, Turn
from engine.protocol.errors import fault
from engine.protocol.report import RunSample
from engine.protocol.runs import PauseMode, Phase, PhaseMark, RunFinding, StepPoint
from engine.protocol.training import TrainSpec
from engine.training import Foreseen, RunJob
from engine.workers.backend import TorchBackend
from engine.workers.bench.resident import highest, resident
from engine.workers.bench.sides import prose
from engine.workers.training import run
from engine.workers.training.labels import IGNORED, Example, Labeller, Tally
from engine.workers.training.supervised import Supervised

ROWS, RATES, START = "rows.json", "rates.json", "start.safetensors"
"""Files of the scratch folder: batches and rates in order, and the adapter's first weights."""


class Drill(Supervised):
    """Our objective on given ids, which notes the batches as they come."""

    def __init__(self, rows: list[Example]) -> None:
        self._rows = rows
        self.seen: list[list[Example]] = []

    def examples(self, rows: Sequence[Any], labeller: Labeller, length: int) -> Tally:
        return Tally(list(self._rows))

    def summed(self, student: Any, batch: Sequence[Example]) -> tuple[Tensor, dict[str, float]]:
        self.seen.append(list(batch))
        return super().summed(student, batch)


class Clock:
    """A RunSink that times steps."""

    def __init__(self, drill: Drill, told: Callable[[str], None]) -> None:
        self.stopped, self.pausing = threading.Event(), threading.Event()
        self.pause_mode: PauseMode = ""
        self.points: list[StepPoint] = []
        self.seconds: list[float] = []
        self._drill, self._told = drill, told
        self._last = time.perf_counter()

    def sized(self, steps: int) -> None: ...

    def foreseen(self, found: Foreseen) -> None: ...

    def phase(self, phase: Phase, step: int = 0) -> PhaseMark:
        if phase == "first step":
            self._drill.seen.clear()  # what was rehearsed before is no step
            self._last = time.perf_counter()
        return PhaseMark(phase, time.time(), step)

    def point(self, point: StepPoint) -> None:
        if point.loss is None:
            return
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now
        self.points.append(point)
        self._told(f"step {point.step}, loss {point.loss:.4f}, {self.seconds[-1]:.2f} s")

    def saved(self, step: int, folder: str) -> None: ...

    def found(self, finding: RunFinding) -> None: ...

    def sample(self, sample: RunSample) -> None: ...


def take(job: SideJob, told: Callable[[str], None]) -> Turn:
    """One run from load to end."""
    asked, scratch = job.job, Path(job.folder)
    assert asked.model is not None
    told("importing and loading")
    backend = TorchBackend()
    imported = resident()
    info = backend.load(LoadSpec(asked.model, asked.dtype), lambda *_: None, threading.Event())
    loaded = resident()
    drill = Drill(given_rows(backend, asked))
    clock = Clock(drill, told)
    # Both sides get the same ids and labels.
    run.objective_of = lambda spec: drill  # type: ignore[assignment,misc]
    spec = spec_of(asked, scratch)
    if not (scratch / START).exists():
        _write_start(backend, asked.model.id, spec, scratch / START)
    run_job = RunJob("bench", str(scratch / f"run-{time.time_ns()}"), spec, info, spec.data)
    backend.trainer.train(run_job, clock, save_on_stop=threading.Event())
    peak = highest()
    batches = [[[row.ids, row.labels] for row in batch] for batch in drill.seen[: asked.steps]]
    (scratch / ROWS).write_text(json.dumps(batches))
    (scratch / RATES).write_text(json.dumps([point.rate for point in clock.points]))
    return Turn(
        seconds=clock.seconds,
        losses=[point.loss for point in clock.points if point.loss is not None],
        rates=[point.rate for point in clock.points],
        peak=peak,
        imported=imported,
        loaded=loaded,
        threads=torch.get_num_threads(),
        dtype=info.load_dtype,
        versions={name: version(name) for name in ("torch", "transformers", "peft")},
    )


def spec_of(asked: TrainJob, scratch: Path) -> TrainSpec:
    """The run that is asked for; its data is a row that the drill replaces."""
    data = scratch / "data.jsonl"
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    data.write_text(2 * (json.dumps({"messages": said}) + "\n"))
    assert asked.model is not None
    return TrainSpec(
        asked.model.id,
        str(data),
        name="bench",
        rank=asked.rank,
        targets=asked.targets,
        steps=asked.steps,
        batch=asked.batch,
        length=asked.length,
        rate=asked.rate,
        eval_fraction=0.0,
        eval_every=asked.steps,
        checkpointing="on" if asked.checkpointing else "off",
        dtype=asked.dtype,
    )


def given_rows(backend: TorchBackend, asked: TrainJob) -> list[Example]:
    """A story in rows of one length, the last part of each labelled; no row comes twice."""
    assert asked.model is not None
    loaded = backend._models[asked.model.id]
    need = asked.steps * asked.batch * asked.length
    sentences = 64
    ids = loaded.vocabulary.plain(prose(sentences))
    while len(ids) < need:
        sentences *= 2
        ids = loaded.vocabulary.plain(prose(sentences))
    hidden = asked.length - round(asked.labelled * asked.length)
    if hidden < 1 or hidden == asked.length:
        raise fault("usage", "A row needs labelled tokens and others", remedy="Choose a longer --length")
    starts = range(0, need, asked.length)
    rows = [list(ids[start : start + asked.length]) for start in starts]
    return [Example(row, [IGNORED] * hidden + row[hidden:]) for row in rows]


def _write_start(backend: TorchBackend, model: str, spec: TrainSpec, path: Path) -> None:
    from engine.workers.training.base import Base
    from engine.workers.training.student import Student

    student = Student(Base.of(backend._models[model]), spec)
    weights = {name: weight.detach().clone() for name, weight in student.weights().items()}
    save_file(weights, path)
