"""What a run keeps: checkpoints while it goes, and the result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace
from torch.optim import AdamW

from engine.models.adapter_fit import vocabulary_mark
from engine.models.fingerprint import fingerprint
from engine.protocol.errors import EngineError
from engine.protocol.runs import RunFinding
from engine.runs import checkpoints as shelf
from engine.training import RunJob, RunSink
from engine.workers.training import checkpoint
from engine.workers.training.adapter import model_card
from engine.workers.training.course import Course
from engine.workers.training.lesson import step_count
from engine.workers.training.room import saved_in_the_end
from engine.workers.training.student import Student, result_folder

T = TypeVar("T")


class Keeper:
    """Writes into the run's folder. `result` is where the adapter lies that the run is for."""

    def __init__(self, job: RunJob, sink: RunSink, student: Student, optimiser: AdamW) -> None:
        self._job = job
        self._sink = sink
        self._student = student
        self._optimiser = optimiser
        self._run = Path(job.folder)
        self._adapters = job.spec.method != "full"
        """Whether a checkpoint holds a PEFT folder too; whole models would be there twice."""
        self.result = self._run / result_folder(job.spec)
        self.saved_at = 0
        """Step of the newest checkpoint; 0: none."""

    def resume(self) -> Course | None:
        """Go on from the job's checkpoint, or the newest one that verifies; None begins anew.

        What was passed over and why, and what makes the curve another one from here on, is told.
        """
        if not self._job.checkpoint:
            return None
        folder: Path | None = Path(self._job.checkpoint)
        skipped: list[str] = []
        try:
            shelf.verify(Path(self._job.checkpoint))
        except EngineError as error:
            folder, skipped = shelf.newest(self._run)
            skipped = skipped or [error.info.sentence()]
        for why in skipped:
            self._sink.found(RunFinding("checkpoint_skipped", shelf.step_of(folder) if folder else 0, why))
        if folder is None:
            return None
        course, differences = checkpoint.read(folder, self._student, self._optimiser)
        self.saved_at = course.step
        if differences:
            self._inexact(course.step, f"it was saved with other conditions ({'; '.join(differences)})")
        return course

    def fit(self, course: Course, steps: int, examples: int) -> Course:
        """The course with this spec's numbers in it; says what has changed since it was saved."""
        spec = self._job.spec
        if examples != course.examples:
            self._inexact(course.step, f"the data has {examples:,} examples, and had {course.examples:,}")
        if spec.batch < course.unit:
            self._inexact(course.step, f"its batches are computed in parts of {spec.batch} now")
        course.units = max(1, spec.batch * spec.accumulate // course.unit)
        if course.unit != spec.batch:  # the order is of the larger batches still, and so is their number
            steps = step_count(replace(spec, batch=course.unit, accumulate=course.units), examples)
            self._sink.sized(steps)
        course.steps, course.examples = steps, examples
        course.rate, course.schedule, course.warmup = spec.rate, spec.schedule, spec.warmup
        return course

    def save(self, course: Course) -> None:
        """A checkpoint of the present step; waits for space on a full disk. Raises EngineError."""
        if course.step in (0, self.saved_at):
            return
        self._sink.phase("save", course.step)
        folder = self._in_the_end(course, lambda: self._written(course))
        self.saved_at = course.step
        self._sink.saved(course.step, str(folder))

    def finish(self, course: Course) -> str:
        """Write the result and return its folder: the last weights that were saved, or the best ones where it
        ended early; empty when there are none.
        """
        if not self.saved_at:
            return ""
        kept = self._best(course) if course.early else shelf.place(self._run) / shelf.name(self.saved_at)
        if self._adapters:
            self._in_the_end(course, lambda: shelf.publish(kept / shelf.ADAPTER, self.result))
        else:
            checkpoint.read_weights(kept, self._student)
            note, card = self._note(course), self._card(course)
            self._in_the_end(course, lambda: self._student.save(self.result, note, card))
        return str(self.result)

    def _in_the_end(self, course: Course, save: Callable[[], T]) -> T:
        """Whatever is written waits for space on a full disk."""
        size = checkpoint.expected(self._student, adapter=self._adapters)
        self._run.mkdir(mode=0o700, parents=True, exist_ok=True)
        return saved_in_the_end(self._sink, course.step, self._run, size, save)

    def _written(self, course: Course) -> Path:
        def adapter(folder: Path) -> None:
            self._student.save(folder, self._note(course), self._card(course))

        make = adapter if self._adapters else None
        folder = checkpoint.write(self._run, course, self._student, self._optimiser, make)
        if make is not None:
            shelf.publish(folder / shelf.ADAPTER, self.result)
        return folder

    def _best(self, course: Course) -> Path:
        """The best checkpoint, or the last one where that is damaged."""
        best = shelf.place(self._run) / shelf.name(course.best_step)
        try:
            shelf.verify(best)
        except EngineError as error:
            why = f"The last weights are the result, for the best are lost: {error.info.sentence()}"
            self._sink.found(RunFinding("checkpoint_skipped", course.step, why))
            return shelf.place(self._run) / shelf.name(self.saved_at)
        return best

    def _inexact(self, step: int, why: str) -> None:
        title = f"From step {step} on the curve is not bit for bit what it would have been: {why}"
        self._sink.found(RunFinding("inexact_resume", step, title))

    def _note(self, course: Course) -> dict[str, Any]:
        return {
            "name": self._job.spec.name,
            "run": self._job.id,
            "step": course.step,
            "loss": course.eval_loss if course.eval_loss is not None else course.loss,
            "best_step": course.best_step,
            "base": self._job.model.id,
            "base_fingerprint": fingerprint(Path(self._job.model.path)),
            "vocabulary": vocabulary_mark(Path(self._job.model.path)),
        }

    def _card(self, course: Course) -> str:
        spec = self._job.spec
        facts = {
            "base": self._job.model.name,
            "data": Path(self._job.data).name,
            "rank": f"{spec.rank}, on {spec.targets}",
            "steps": f"{course.step}, batch {spec.batch} x {spec.accumulate}",
            "learning rate": f"{spec.rate:g}, warm-up and {spec.schedule}",
            "loss": "" if course.loss is None else f"{course.loss:.3f}",
            "eval loss": "" if course.eval_loss is None else f"{course.eval_loss:.3f}",
        }
        return model_card(spec, self._job.model, facts)
