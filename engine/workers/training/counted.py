"""What one run holds, told to the engine's board after steps and at phases. It never fails the run."""

from __future__ import annotations

import weakref

import torch
from torch import Tensor
from torch.optim import AdamW

from engine.holdings import Held, own_resident, shared
from engine.protocol.runs import Phase, PhaseMark
from engine.training import RunJob, RunSink
from engine.workers.device import give_back_memory
from engine.workers.memory import Tick, allocated, bytes_of, reset_peak, tell_torch
from engine.workers.training.base import Base
from engine.workers.training.room import PatientSink
from engine.workers.training.student import Student


class Counted:
    """One run's bytes. Used in the training thread."""

    def __init__(self, job: RunJob, base: Base) -> None:
        self._run, self._label = job.id, job.spec.name or job.id
        self._whole = job.spec.method == "full"
        self._base = base
        self._student: Student | None = None
        self._optimiser: AdamW | None = None
        self._cloned = 0
        """Bytes of layers that its method changes, and so has copies of."""
        self._most = 0
        """On a GPU: allocated at most in this phase."""
        self._activations = 0
        """On a GPU: what the last step took beyond what stays."""
        self._tick = Tick()

    def begins(self, student: Student, optimiser: AdamW) -> None:
        """Student and optimiser are there."""
        self._student, self._optimiser = student, optimiser
        with shared.unharmed("the memory of a run"):
            device = str(self._base.device)
            if self._base.own:
                owner = f"base {id(self._base)}"
                shared.hold(owner, (Held("model", self._base.own, self._label, device),))
                weakref.finalize(self._base, shared.drop, owner)  # a race's members hold one together
            trained = bytes_of(student.weights().values())
            theirs = {id(each) for each in self._base.pristine.parameters()}
            own = (each for each in student.network.parameters() if id(each) not in theirs)
            self._cloned = max(0, bytes_of(own) - trained)
        self.tell()

    def stands(self, *, first: bool = False) -> None:
        """The run stands between two steps, all of its weights read; `first`: before all steps."""
        with shared.unharmed("the memory of a run"):
            if self._base.device.type != "cpu":
                return
            if first:
                give_back_memory()  # what a rehearsal left in the heap is no part of the rest
            if resident := own_resident():  # not every system tells
                shared.rest(self._run, resident)

    def stepped(self) -> None:
        """A step is over."""
        with shared.unharmed("the memory of a run"):
            now, most = allocated(self._base.device)
            if most:
                self._most, self._activations = max(self._most, most), max(0, most - now)
                reset_peak(self._base.device)
            if self._tick():
                self.tell()
                self.stands()

    def turns(self) -> None:
        """A phase ends and another begins."""
        with shared.unharmed("the memory of a run"):
            now, most = allocated(self._base.device)
            if most:
                shared.peaked(self._run, now, max(self._most, most))
                self._most = 0
                reset_peak(self._base.device)
            self.tell()

    def ends(self) -> None:
        """It lets go of everything."""
        self._student = self._optimiser = None
        shared.drop(self._run)

    def tell(self) -> None:
        """Say what it holds, and where."""
        student, optimiser = self._student, self._optimiser
        if student is None or optimiser is None:
            return
        with shared.unharmed("the memory of a run"):
            weights = list(student.weights().values())
            place = str(weights[0].device) if weights else str(student.device)  # moved out while it yields
            kept = [each for state in optimiser.state.values() for each in state.values()]
            moments = bytes_of(each for each in kept if isinstance(each, Tensor))
            learns = bytes_of(weights)
            rows = [
                Held("model" if self._whole else "adapter", learns, self._label, place),
                Held("model", self._cloned, self._label, str(student.device)),
                Held("optimiser", moments, self._label, place),
                Held("activations", self._activations, self._label, str(student.device)),
            ]
            shared.hold(self._run, rows)
        if torch.cuda.is_available() or torch.backends.mps.is_available():
            tell_torch()


class CountedSink(PatientSink):
    """A run's sink at whose phases its memory is counted."""

    def __init__(self, sink: RunSink, counted: Counted) -> None:
        super().__init__(sink)
        self._counted = counted

    def phase(self, phase: Phase, step: int = 0) -> PhaseMark:
        self._counted.turns()
        return super().phase(phase, step)
