"""One run from top to bottom: data, adapter, steps, evaluations, files."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.models.adapter_fit import vocabulary_mark
from engine.models.fingerprint import fingerprint
from engine.protocol.errors import fault
from engine.protocol.runs import StepPoint
from engine.training import RunJob, RunOutcome, RunSink
from engine.workers.gate import Gate
from engine.workers.training.adapter import model_card
from engine.workers.training.base import Base
from engine.workers.training.batches import epochs, in_order
from engine.workers.training.lesson import Lesson, prepare, step_count
from engine.workers.training.objective import Example, objective_of
from engine.workers.training.schedule import rate_at
from engine.workers.training.student import Student

EVALUATIONS = 10
"""Over a run, where the spec does not say."""


class Run:
    """The training thread's work on one job."""

    def __init__(self, job: RunJob, base: Base, sink: RunSink, gate: Gate) -> None:
        self._job = job
        self._spec = job.spec
        self._base = base
        self._sink = sink
        self._gate = gate
        self._objective = objective_of(job.spec)
        self._student: Student
        self._folder = Path(job.folder) / "adapter"
        self._saved_at = 0
        self._loss: float | None = None
        self._eval_loss: float | None = None

    def run(self, save_on_stop: threading.Event) -> RunOutcome:
        """Train to the end, or until stopped. Raises EngineError; what was saved before stays."""
        sink, spec = self._sink, self._spec
        sink.phase("data")
        lesson = prepare(spec, Path(self._job.data), self._base.labeller, self._objective)
        steps = step_count(spec, len(lesson.train))
        sink.sized(steps)
        sink.phase("load")
        self._student = Student(self._base, spec)
        done = self._steps(lesson, steps)
        if done == steps or save_on_stop.is_set():
            self._save(done)
        sink.phase("end", done)
        folder = str(self._folder) if self._saved_at else ""
        return RunOutcome(done, folder, self._loss, self._eval_loss)

    def _steps(self, lesson: Lesson, steps: int) -> int:
        spec, sink = self._spec, self._sink
        weights = list(self._student.weights().values())
        optimiser = torch.optim.AdamW(self._student.groups(), lr=spec.rate, weight_decay=spec.weight_decay)
        batches = epochs(lesson.train, spec.batch, spec.seed)
        every = spec.eval_every or max(1, steps // EVALUATIONS)
        self._evaluate(lesson.held, 0)
        for step in range(1, steps + 1):
            if step <= 2:
                sink.phase("first step" if step == 1 else "train", step)
            sink.point(self._step(step, steps, batches, weights, optimiser))
            if step % every == 0 or step == steps:
                self._evaluate(lesson.held, step)
                self._save(step)
                if step < steps:
                    sink.phase("train", step)
            if sink.stopped.is_set():
                return step
        return steps

    def _step(
        self,
        step: int,
        steps: int,
        batches: Iterator[list[Example]],
        weights: list[Tensor],
        optimiser: torch.optim.Optimizer,
    ) -> StepPoint:
        """One optimiser step."""
        spec, began = self._spec, time.monotonic()
        group = list(islice(batches, spec.accumulate))
        weight = sum(self._objective.weight(batch) for batch in group)
        total, waited = 0.0, 0.0
        self._student.learn()
        for batch in group:
            waited += self._gate.wait(self._sink.stopped)
            summed, _ = self._objective.summed(self._student, batch)
            loss = summed / weight
            loss.backward()
            total += float(loss.detach())
        norm = float(torch.nn.utils.clip_grad_norm_(weights, spec.clip or math.inf))
        self._check_finite(step, total, norm)
        rate = rate_at(step, steps, spec.rate, spec.warmup)
        for options in optimiser.param_groups:
            options["lr"] = rate * options["share"]
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        self._loss = total
        return StepPoint(
            step,
            loss=total,
            rate=rate,
            grad_norm=norm,
            tokens=sum(example.tokens for batch in group for example in batch),
            labelled=sum(example.labelled for batch in group for example in batch),
            seconds=time.monotonic() - began - waited,
            at=time.time(),
        )

    def _check_finite(self, step: int, loss: float, norm: float) -> None:
        if math.isfinite(loss) and math.isfinite(norm):
            return
        kept = f"the adapter of step {self._saved_at} is kept" if self._saved_at else "nothing was saved yet"
        raise fault(
            "run_diverged",
            f"Step {step} gave a loss of {loss} and a gradient norm of {norm}, so the run was stopped",
            kept,
            "Lower the learning rate, or raise the warm-up",
        )

    @torch.no_grad()
    def _evaluate(self, held: list[Example], step: int) -> None:
        if not held:
            return
        self._sink.phase("eval", step)
        self._student.answer()
        total, weight = 0.0, 0
        for batch in in_order(held, self._spec.batch):
            self._gate.wait(self._sink.stopped)
            total += float(self._objective.summed(self._student, batch)[0])
            weight += self._objective.weight(batch)
        self._eval_loss = total / weight
        self._sink.point(StepPoint(step, eval_loss=self._eval_loss, at=time.time()))

    def _save(self, step: int) -> None:
        if step == self._saved_at or step == 0:
            return
        self._sink.phase("save", step)
        try:
            self._student.save(self._folder, self._note(step), self._card(step))
        except OSError as error:
            raise fault(
                "save_failed",
                f"The adapter of step {step} could not be saved to {self._folder}",
                error.strerror or str(error),
                "Free some space and start the run again",
            ) from error
        self._saved_at = step

    def _note(self, step: int) -> dict[str, Any]:
        return {
            "name": self._spec.name,
            "run": self._job.id,
            "step": step,
            "loss": self._eval_loss if self._eval_loss is not None else self._loss,
            "base": self._job.model.id,
            "base_fingerprint": fingerprint(Path(self._job.model.path)),
            "vocabulary": vocabulary_mark(Path(self._job.model.path)),
        }

    def _card(self, step: int) -> str:
        spec = self._spec
        facts = {
            "base": self._job.model.name,
            "data": Path(self._job.data).name,
            "rank": f"{spec.rank}, on {spec.targets}",
            "steps": f"{step}, batch {spec.batch} x {spec.accumulate}",
            "learning rate": f"{spec.rate:g}, warm-up and cosine",
            "loss": "" if self._loss is None else f"{self._loss:.3f}",
            "eval loss": "" if self._eval_loss is None else f"{self._eval_loss:.3f}",
        }
        return model_card(spec, self._job.model, facts)
