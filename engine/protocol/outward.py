"""What goes out of Qwill to other programs: a run's numbers to a tracker, a model to a test harness."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from engine.protocol.command import Command
from engine.protocol.training import Tracker


class Tracked(msgspec.Struct, frozen=True):
    """Where a run's numbers are now."""

    place: str
    """A folder, a file or an address."""
    points: int


class TrackRun(Command, frozen=True, tag=True):
    """Hand all points of a run that has ended to a tracker; answers when it has them."""

    Result: ClassVar[type] = Tracked
    run: str
    tracker: Tracker


class HarnessScore(msgspec.Struct, frozen=True):
    """One number of lm-evaluation-harness."""

    task: str
    metric: str
    """As it calls it, e.g. `acc,none`."""
    value: float
    error: float | None = None
    """Standard error."""


class HarnessScores(msgspec.Struct, frozen=True):
    """What came of it."""

    job: str
    model: str
    scores: tuple[HarnessScore, ...]
    seconds: float = 0.0


class StartHarness(Command, frozen=True, tag=True):
    """Measure a model by tasks of lm-evaluation-harness, in a process of its own with its own weights.

    EvaluationMoved tells how far it is; StopEvaluation of the same job stops it, and so does a client that
    leaves. Raises EngineError `extra_missing`, `harness_failed`, `cancelled`.
    """

    Result: ClassVar[type] = HarnessScores
    model: str
    tasks: tuple[str, ...]
    """Names that the harness knows, or paths of YAML files."""
    adapter: str = ""
    limit: int = 0
    """Rows of a task at most; 0 is all."""
    job: str = ""
    """Names it in events and for StopEvaluation; empty draws one."""
