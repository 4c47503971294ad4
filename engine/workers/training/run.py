"""One run from top to bottom: data, adapter, steps, evaluations, checkpoints, result.

`run` does it all. A run can be driven in pieces, so that several take turns on one thread: `begin`, then
`advance` until it says that it is done, then `finish`.
"""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.optim import AdamW

from engine.protocol.errors import fault
from engine.protocol.report import RunSample
from engine.protocol.runs import StepPoint
from engine.training import Foreseen, RunJob, RunOutcome, RunSink
from engine.workers.device import device_words, give_back_memory
from engine.workers.gate import Gate
from engine.workers.training.answers import told
from engine.workers.training.base import Base
from engine.workers.training.batches import Feed, in_order, pieces
from engine.workers.training.counted import Counted, CountedSink
from engine.workers.training.course import Course
from engine.workers.training.keeper import Keeper
from engine.workers.training.lesson import Lesson, prepare, step_count
from engine.workers.training.objective import Example, objective_of
from engine.workers.training.optimiser import adamw
from engine.workers.training.pause import moved_out, stand_still
from engine.workers.training.ranks import Ranks
from engine.workers.training.rehearsal import Rehearsal, Rehearsed
from engine.workers.training.report import SHOWN, may_take, write_report
from engine.workers.training.schedule import rate_at
from engine.workers.training.student import Student

EVALUATIONS = 10
"""Over a run, where the spec does not say."""
LOOKS = 64
"""Examples that EVA sees before it begins."""


class Run:
    """The training thread's work on one job. Raises EngineError; what was saved before stays."""

    def __init__(
        self, job: RunJob, base: Base, sink: RunSink, gate: Gate, ranks: Ranks | None = None
    ) -> None:
        """`ranks`: the processes that compute it together; None is this one alone."""
        self._ranks = ranks or Ranks()
        self._job = job
        self._spec = job.spec
        self._base = base
        self._counted = Counted(job, base)
        self._sink = CountedSink(sink, self._counted)
        self._gate = gate
        self._objective = self._ranks.objective(objective_of(job.spec))
        self._held: list[Example] = []
        self._student: Student
        self._optimiser: AdamW
        self._keeper: Keeper
        self._feed: Feed[Example]
        self.course: Course
        """Where it stands; from `begin` on."""
        self._parked = False
        self._begun_at = 0
        self._rehearsed: Rehearsed | None = None
        self._clock = time.monotonic()

    def run(self, save_on_stop: threading.Event) -> RunOutcome:
        """Train to the end, or until stopped or parked."""
        self.begin()
        while not self.advance(1):
            pass
        return self.finish(save=save_on_stop.is_set())

    # --- begin ------------------------------------------------------------------------------

    def begin(self) -> None:
        """Everything before the first step: the data, the student, and where a checkpoint left off."""
        self._sink.phase("data")
        lesson = prepare(self._spec, Path(self._job.data), self._base.labeller, self._objective)
        self._held = lesson.held
        steps = step_count(self._spec, len(lesson.train))
        self._sink.sized(steps)
        device = device_words(self._base.device)
        self._sink.foreseen(Foreseen(lesson.rows, lesson.left_out, device=device))
        self._sink.phase("load")
        self._student = Student(self._base, self._spec)
        self._optimiser = adamw(self._student, self._spec)
        self._counted.begins(self._student, self._optimiser)
        self._keeper = self._ranks.keeper(self._job, self._sink, self._student, self._optimiser)
        resumed = self._keeper.resume()
        if resumed is None:
            self.course = self._fresh(steps, len(lesson.train))
        else:
            self.course = self._keeper.fit(resumed, steps, len(lesson.train))
        self._begun_at = self.course.step
        self._feed = self._fed(lesson)
        if resumed is None and self._student.looks:
            self._look(lesson)
        self._ranks.spread(self._student, self._optimiser)
        self._rehearse(lesson)
        self._counted.stands(first=True)
        if resumed is None:
            self._evaluate()

    def _fresh(self, steps: int, examples: int) -> Course:
        spec = self._spec
        return Course(
            steps=steps,
            unit=spec.batch,
            units=spec.accumulate,
            examples=examples,
            seed=spec.seed,
            rate=spec.rate,
            schedule=spec.schedule,
            warmup=spec.warmup,
        )

    @torch.no_grad()
    def _look(self, lesson: Lesson) -> None:
        """Some examples, a row at a time, for a method that starts from what its layers see."""
        with self._student.looking():
            for example in lesson.train[:LOOKS]:
                self._gate.wait(self._sink.stopped)
                self._objective.summed(self._student, [example])

    def _rehearse(self, lesson: Lesson) -> None:
        """One step on the longest rows, before the first real one. Raises EngineError `run_too_large`."""
        self._sink.phase("rehearsal", self.course.step)
        self._gate.wait(self._sink.stopped)
        if self.done or not self._ranks.whole:
            return
        spec = self._ranks.own(self._spec)
        rehearsal = Rehearsal(spec, self._student, objective_of(spec), self._job.model.id)
        found = self._rehearsed = rehearsal.hold(lesson)
        left = found.left_s(lesson, self._spec, self.course.steps - self.course.step)
        self._sink.foreseen(Foreseen(predicted=found.predicted, measured=found.measured, left_s=left))

    # --- advance ----------------------------------------------------------------------------

    def advance(self, steps: int) -> bool:
        """Take so many more optimiser steps; returns whether none is left to take.

        While the run is paused this blocks at a step's end. A parked or stopped run is done too.
        """
        for _ in range(steps):
            self._ranks.meet(self._sink.stopped)
            self._pause()
            if self.done:
                break
            self._step()
            self._after_step()
        return self.done

    @property
    def done(self) -> bool:
        """Whether no further step will be taken."""
        course = self.course
        return self._parked or course.early or course.step >= course.steps or self._sink.stopped.is_set()

    def _pause(self) -> None:
        """Stand still while it is wished."""
        if self.done or not self._sink.pausing.is_set():
            return
        self._sink.phase("paused", self.course.step)
        self._parked = stand_still(self._sink, self._student, self._optimiser, self._counted.tell)
        if not self.done:
            self._sink.phase("train", self.course.step)

    def _step(self) -> None:
        """One optimiser step."""
        spec, course, began = self._spec, self.course, time.monotonic()
        step = course.step + 1
        if step - self._begun_at in (1, 2):
            self._sink.phase("first step" if step == self._begun_at + 1 else "train", step)
        group = [part for _ in range(course.units) for part in pieces(self._feed.take(), spec.batch)]
        loss, metrics, waited = self._learn(step, group)
        weights = list(self._student.weights().values())
        norm = self._ranks.clip(weights, spec.clip or math.inf)
        self._check_finite(step, loss, norm)
        rate = rate_at(step, course.steps, spec.rate, spec.warmup, spec.schedule)
        for options in self._optimiser.param_groups:
            options["lr"] = rate * options["share"]
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        course.step, course.loss = step, loss
        course.epoch, course.place, course.seen = self._feed.epoch, self._feed.place, self._feed.seen
        point = StepPoint(
            step,
            loss=loss,
            rate=rate,
            grad_norm=norm,
            tokens=sum(example.tokens for part in group for example in part),
            labelled=sum(example.labelled for part in group for example in part),
            seconds=time.monotonic() - began - waited,
            at=time.time(),
            epoch=self._feed.epochs,
            metrics=metrics,
        )
        self._counted.stepped()
        self._sink.point(point)

    def _learn(self, step: int, group: list[Sequence[Example]]) -> tuple[float, dict[str, float], float]:
        """Gradients of all micro-batches; returns (mean loss, mean metrics, seconds waited for the chat)."""
        weight = max(1, sum(self._objective.weight(part) for part in group))
        total, waited = 0.0, 0.0
        metrics: dict[str, float] = defaultdict(float)
        self._student.learn()
        for micro, part in enumerate(group):
            waited += self._gate.wait(self._sink.stopped)
            self._student.at(step, self._ranks.micro(micro))
            summed, more = self._objective.summed(self._student, part)
            loss = summed / weight
            loss.backward()
            total += float(loss.detach())
            _add(metrics, more)
        self._ranks.gather(list(self._student.weights().values()))
        total, sums = self._ranks.summed(total, metrics)
        return total, _means(sums, weight), waited

    def _check_finite(self, step: int, loss: float, norm: float) -> None:
        if math.isfinite(loss) and math.isfinite(norm):
            return
        self._diverged(step, f"loss {loss}, gradient norm {norm}")

    def _diverged(self, step: int, wrong: str) -> None:
        """The log shows it, the weights stay as they were, the run ends."""
        self._sink.point(StepPoint(step, wrong=wrong, at=time.time(), epoch=self._feed.epochs))
        saved = self._keeper.saved_at
        kept = f"the checkpoint of step {saved} is kept" if saved else "nothing was saved yet"
        raise fault(
            "run_diverged",
            f"Step {step} gave numbers that are not finite ({wrong}), so the run was stopped",
            kept,
            "Lower the learning rate, or raise the warm-up",
        )

    # --- in turns ---------------------------------------------------------------------------

    @property
    def on_gpu(self) -> bool:
        """Whether its tensors lie elsewhere than in RAM."""
        return self._student.device.type != "cpu"

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Inside, its own tensors are in RAM, and it may not advance."""
        with moved_out(self._student, self._optimiser):
            self._counted.tell()
            yield
        self._counted.tell()

    def end_soon(self) -> None:
        """Have the next step be the last one: its time is up. It ends as a whole run does."""
        if not self.done:
            self.course.steps = self.course.step + 1
            self._sink.sized(self.course.steps)

    # --- after a step -----------------------------------------------------------------------

    def _after_step(self) -> None:
        spec, course = self._spec, self.course
        often = spec.eval_every or max(1, course.steps // EVALUATIONS)
        last = course.step == course.steps
        evaluates = last or course.step % often == 0
        better = self._evaluate() if evaluates else False
        course.early = bool(spec.early_stop) and course.worse >= spec.early_stop and not last
        if better or last or course.early or course.step % (spec.save_every or often) == 0:
            self._keeper.save(course)
            evaluates = True
        if evaluates and not self.done:
            self._sink.phase("train", course.step)

    @torch.no_grad()
    def _evaluate(self) -> bool:
        """The held-out loss at the present step; returns whether it is the best so far."""
        step = self.course.step
        if not self._held:
            return False
        self._sink.phase("eval", step)
        self._student.answer()
        total, weight = 0.0, 0
        metrics: dict[str, float] = defaultdict(float)
        for batch in in_order(self._held, self._spec.batch):  # never more rows than a step has
            self._gate.wait(self._sink.stopped)
            summed, more = self._objective.summed(self._student, batch)
            total += float(summed)
            weight += self._objective.weight(batch)
            _add(metrics, more)
        total, sums = self._ranks.summed(total, metrics)
        loss = total / max(1, weight)
        if not math.isfinite(loss):
            self._diverged(step, f"eval loss {loss}")
        means = _means(sums, max(1, weight))
        self._sink.point(
            StepPoint(step, eval_loss=loss, at=time.time(), epoch=self._feed.epochs, metrics=means)
        )
        better = self.course.evaluated(loss)
        self._after_eval(step)
        return better

    def _after_eval(self, step: int) -> None:
        """The spec's prompts, answered greedily; no generator is drawn from, so the run goes on the same."""
        if not self._spec.samples or not self._base.labeller.chats:
            return
        self._sink.phase("sample", step)
        for prompt in self._spec.samples:
            self._gate.wait(self._sink.stopped)
            if self._sink.stopped.is_set():
                return
            text, whole = told(self._student.network, self._base.labeller, prompt, SHOWN)
            self._sink.sample(RunSample(step, prompt, text, whole))

    # --- finish -----------------------------------------------------------------------------

    def finish(self, *, save: bool) -> RunOutcome:
        """Write what is left to write, let go of the memory, and say how it ended.

        `save`: whether a run that was stopped keeps what it has learnt since its last checkpoint.
        """
        course, keeper = self.course, self._keeper
        whole = course.early or course.step >= course.steps
        if whole or self._parked or save:
            keeper.save(course)
        result = "" if self._parked else keeper.finish(course)
        reports = whole and result and not self._parked and self._ranks.whole
        forgetting = self._report() if reports else None
        self._sink.phase("paused" if self._parked else "end", course.step)
        self._counted.ends()
        self._student.close()
        self._optimiser.state.clear()
        self._optimiser.param_groups.clear()
        give_back_memory()
        return RunOutcome(
            course.step,
            result,
            course.loss,
            course.eval_loss,
            parked=self._parked,
            best_step=course.best_step,
            best_eval=course.best_eval,
            forgetting=forgetting,
            measured=self._rehearsed.measured if self._rehearsed else 0,
        )

    def _report(self) -> float | None:
        """Look at what came of it and write that down; returns what it forgot. It never fails the run."""
        self._sink.phase("sample", self.course.step)
        seconds = may_take(time.monotonic() - self._clock)
        return write_report(self._job, self._base, self._student, self._held, seconds, self._sink.stopped)

    def _fed(self, lesson: Lesson) -> Feed[Example]:
        course = self.course
        return Feed(lesson.train, course.unit, course.seed, course.epoch, course.place, course.seen)


def _add(sums: dict[str, float], more: Mapping[str, float]) -> None:
    for name, value in more.items():
        sums[name] += value


def _means(sums: Mapping[str, float], weight: int) -> dict[str, float]:
    # One that is not finite would make its line of the log unreadable; the loss itself is checked apart.
    return {name: value / weight for name, value in sums.items() if math.isfinite(value)}
