"""What a client can ask of a run's life: pause, its place in the queue, checkpoints, doing it again."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from engine.protocol.command import Command
from engine.protocol.runs import PauseMode, RunInfo


class PauseRun(Command, frozen=True, tag=True):
    """Let a run stand still after its present step; a queued one is held back. See PauseMode.

    Answered at once; the run says `paused` once it stands still.
    """

    Result: ClassVar[type] = RunInfo
    run: str
    mode: PauseMode = "hold"
    """hold, yield or park; a queued run is parked whatever is said."""


class ResumeRun(Command, frozen=True, tag=True):
    """Go on with a paused run; one that is parked, stopped or failed queues up to go on from there."""

    Result: ClassVar[type] = RunInfo
    run: str


class MoveRun(Command, frozen=True, tag=True):
    """Put a queued run at another place of the queue."""

    Result: ClassVar[type] = RunInfo
    run: str
    place: int
    """From 1; beyond the end is the end."""


class RunNow(Command, frozen=True, tag=True):
    """The first of the queue next, idle or not; the run that trains now is parked and follows it."""

    Result: ClassVar[type] = RunInfo
    run: str


class ChangeRun(Command, frozen=True, tag=True):
    """Set what is not None. The id, and so the adapter's id, stays."""

    Result: ClassVar[type] = RunInfo
    run: str
    name: str | None = None
    tags: tuple[str, ...] | None = None
    note: str | None = None


class DuplicateRun(Command, frozen=True, tag=True):
    """Queue a new run with the spec of this one and some keys changed; refuses what StartRun refuses."""

    Result: ClassVar[type] = RunInfo
    run: str
    changes: dict[str, Any] = {}
    """By the names of TrainSpec."""
    idle: bool = False
    hold: bool = False


class Rerun(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run that does again what another one did."""

    run: RunInfo
    unmatched: tuple[str, ...] = ()
    """What cannot be the same here, a sentence each: versions, the data's bytes, the machine."""


class RerunRun(Command, frozen=True, tag=True):
    """Queue a run from the recorded spec and seeds of this one, and say what cannot be matched here."""

    Result: ClassVar[type] = Rerun
    run: str
    strict: bool = False
    """Refuse (`rerun_differs`) where something cannot be matched."""


class Checkpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """One checkpoint of a run."""

    step: int
    folder: str
    """Absolute."""
    bytes_on_disk: int = 0
    created: float = 0.0
    eval_loss: float | None = None
    best: bool = False
    why: str = ""
    """One sentence when it cannot be used; names the file that is wrong."""
    adapter: str = ""
    """Id by which the chat takes its adapter, `RUN@STEP`; empty where it has none."""


class CheckpointList(msgspec.Struct, frozen=True):
    run: RunInfo
    checkpoints: tuple[Checkpoint, ...]
    """Newest first."""


class ListCheckpoints(Command, frozen=True, tag=True):
    """The checkpoints of a run; `verify` reads every byte of them."""

    Result: ClassVar[type] = CheckpointList
    run: str
    verify: bool = False


class Prunable(msgspec.Struct, frozen=True, omit_defaults=True):
    """One folder that is not needed any more."""

    run: str
    kind: Literal["checkpoint", "trash", "left over"]
    path: str
    bytes_on_disk: int
    why: str


class Pruned(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went, or would go."""

    items: tuple[Prunable, ...] = ()
    bytes_on_disk: int = 0
    dry_run: bool = False


class PruneRuns(Command, frozen=True, tag=True):
    """Delete what nothing needs: old checkpoints of ended runs, the trash, what killed writers left."""

    Result: ClassVar[type] = Pruned
    dry_run: bool = True
