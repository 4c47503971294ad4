"""The seam between the host and the worker that trains, free of torch like engine.backend."""

from __future__ import annotations

import threading
from typing import Protocol

import msgspec

from engine.protocol.report import RunSample
from engine.protocol.runs import Estimate, PauseMode, Phase, PhaseMark, RunFinding, StepPoint
from engine.protocol.specs import ModelInfo
from engine.protocol.training import TrainSpec


class RunJob(msgspec.Struct, frozen=True):
    """One run as the worker gets it."""

    id: str
    folder: str
    """Absolute; the adapter is written to `folder/adapter`."""
    spec: TrainSpec
    """With name, alpha and the like filled in."""
    model: ModelInfo
    data: str
    """Absolute path of the dataset."""
    checkpoint: str = ""
    """Folder of the checkpoint to go on from; empty begins anew."""


class Foreseen(msgspec.Struct, frozen=True):
    """What is known of a run before its first step; told in pieces, None is not known yet."""

    rows: int | None = None
    """Of the data that it learns from, those held out not counted."""
    left_out: int | None = None
    """Answers that it does not learn from: longer than its length, or hidden by the template."""
    predicted: int | None = None
    """Bytes foretold at its highest, beside what was loaded before."""
    measured: int | None = None
    """Bytes that the rehearsal took, counted the same way."""
    left_s: float | None = None
    """Seconds that its steps will take, by the rehearsal."""
    device: str | None = None
    """`cpu`, `mps`, `cuda:1`."""


class RunSink(Protocol):
    """Where a run reports. Called from the training thread; returns once the line is on disk."""

    stopped: threading.Event
    """Set to end after the present step."""
    pausing: threading.Event
    """Set for as long as the run should stand still; looked at after each step."""

    @property
    def pause_mode(self) -> PauseMode:
        """How, while `pausing` is set. Park ends `train` with `RunOutcome.parked`."""
        ...

    def sized(self, steps: int) -> None:
        """The number of optimiser steps is known."""
        ...

    def foreseen(self, found: Foreseen) -> None:
        """Something more is known of the run, before its first step."""
        ...

    def phase(self, phase: Phase, step: int = 0) -> PhaseMark: ...

    def point(self, point: StepPoint) -> None: ...

    def saved(self, step: int, folder: str) -> None:
        """A checkpoint is on disk, verified and named."""
        ...

    def sample(self, sample: RunSample) -> None:
        """The answer to one of the spec's prompts; called only where the spec names some."""
        ...

    def found(self, finding: RunFinding) -> None:
        """Something that a person should know of this run, e.g. why it waits or is not bit-exact any more."""
        ...


class RunOutcome(msgspec.Struct, frozen=True):
    """How a run ended."""

    step: int
    adapter: str = ""
    """Folder of the adapter; empty when nothing was saved."""
    loss: float | None = None
    eval_loss: float | None = None
    parked: bool = False
    """Whether it stopped at a checkpoint to go on later."""
    best_step: int = 0
    best_eval: float | None = None
    forgetting: float | None = None
    """Loss on general text after the run less before it, in nats a token."""
    measured: int = 0
    """Bytes that it took at its highest beside what was loaded before; 0: unknown."""


class Member(Protocol):
    """One run that is driven in turns, so that several share a thread. Used in the training thread only."""

    def turn(self, steps: int, *, last: bool = False) -> RunOutcome | None:
        """Begin where it has not begun, and take so many more steps; how it ended, or None while it goes on.

        `last`: its time is up, so one more step is its last. Raises as `Trainer.train`; then it is over too.
        A run that pauses blocks here, but for park.
        """
        ...


class Trainer(Protocol):
    """Trains on the weights that the backend holds. Raises EngineError for every foreseeable fault."""

    def estimate(self, spec: TrainSpec, model: ModelInfo, data: str) -> Estimate:
        """Tokenises the data and counts; runs in the training thread and touches no weights."""
        ...

    def train(self, job: RunJob, sink: RunSink, *, save_on_stop: threading.Event) -> RunOutcome:
        """Run to the end, or until stopped; an adapter is saved at each evaluation and at the end."""
        ...

    def member(self, job: RunJob, sink: RunSink, *, save_on_stop: threading.Event) -> Member:
        """The same in turns; nothing is done before its first one."""
        ...
