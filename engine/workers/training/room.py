"""Room on the disk: a run whose disk is full stands still until there is space again, and loses nothing."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from engine.protocol.errors import EngineError, fault
from engine.protocol.report import RunSample
from engine.protocol.runs import PauseMode, Phase, PhaseMark, RunFinding, StepPoint
from engine.runs.faults import FULL
from engine.training import Foreseen, RunSink

T = TypeVar("T")
MARGIN = 2.2
"""Free space over the size of what is written: the old one stays until the new one is whole."""
RETRY_SECONDS = 1.0
"""Between two looks at the disk."""


def lacking(folder: Path, size: int) -> str:
    """One sentence that names the path and the bytes when there is too little room; else empty."""
    need, free = int(size * MARGIN), shutil.disk_usage(folder).free
    if free >= need:
        return ""
    return f"{folder} has {free:,} bytes free, and a checkpoint needs {need:,}"


def saved_in_the_end(sink: RunSink, step: int, folder: Path, size: int, save: Callable[[], T]) -> T:
    """What `save` returns, once there is room for it; the run is in phase `paused` until then.

    Raises EngineError `disk_full` when it is stopped meanwhile, `save_failed` for every other fault.
    """
    told = False
    while True:
        why = lacking(folder, size)
        if not why:
            try:
                return save()
            except OSError as error:
                if error.errno not in FULL:
                    raise _unsaved(folder, step, error) from error
                why = f"{folder} took less than the {size:,} bytes that a checkpoint has"
        if not told:
            told = _tell(sink, step, why)
        if sink.stopped.wait(RETRY_SECONDS):
            raise _full(step, why)


def _tell(sink: RunSink, step: int, why: str) -> bool:
    title = f"The disk is full, so the run waits with its checkpoint of step {step}: {why}. Free some space"
    # The run's log may lie on the same disk: what cannot be told now is not worth the run.
    with contextlib.suppress(EngineError):
        sink.found(RunFinding("disk_full", step, title))
        sink.phase("paused", step)
    return True


class PatientSink:
    """A RunSink whose log may find the disk full: it waits for space instead of ending the run."""

    def __init__(self, sink: RunSink) -> None:
        self._sink = sink
        self.stopped: threading.Event = sink.stopped
        self.pausing: threading.Event = sink.pausing

    @property
    def pause_mode(self) -> PauseMode:
        return self._sink.pause_mode

    def sized(self, steps: int) -> None:
        self._sink.sized(steps)

    def foreseen(self, found: Foreseen) -> None:
        self._sink.foreseen(found)

    def phase(self, phase: Phase, step: int = 0) -> PhaseMark:
        return self._patiently(lambda: self._sink.phase(phase, step))

    def point(self, point: StepPoint) -> None:
        self._patiently(lambda: self._sink.point(point))

    def saved(self, step: int, folder: str) -> None:
        self._patiently(lambda: self._sink.saved(step, folder))

    def sample(self, sample: RunSample) -> None:
        self._patiently(lambda: self._sink.sample(sample))

    def found(self, finding: RunFinding) -> None:
        self._patiently(lambda: self._sink.found(finding))

    def _patiently(self, tell: Callable[[], T]) -> T:
        while True:
            try:
                return tell()
            except EngineError as error:
                if error.info.code != "disk_full" or self.stopped.wait(RETRY_SECONDS):
                    raise


def _full(step: int, why: str) -> EngineError:
    return fault(
        "disk_full",
        f"The disk is full, so step {step} could not be saved",
        why,
        "Free some space, then resume the run",
        retryable=True,
    )


def _unsaved(folder: Path, step: int, error: OSError) -> EngineError:
    return fault(
        "save_failed",
        f"Step {step} could not be saved to {folder}",
        error.strerror or str(error),
        "Make the folder writable, then resume the run",
    )
