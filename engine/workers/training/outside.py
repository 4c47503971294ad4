"""A run that a process of its own computes; what it tells goes into the run's sink like any other's."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import msgspec

from engine.protocol.errors import EngineError, ErrorInfo, fault
from engine.protocol.runs import Phase, StepPoint
from engine.training import RunJob, RunOutcome, RunSink

LOOK_SECONDS = 0.1
"""Between two looks at whether it should stand still or stop."""


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the process; one of these beside `step` is set."""

    steps: int = 0
    phase: Phase | None = None
    step: int = 0
    point: StepPoint | None = None
    outcome: RunOutcome | None = None
    fault: ErrorInfo | None = None


def train_outside(module: str, job: RunJob, sink: RunSink) -> RunOutcome:
    """Run `python -m module` on the job until it ends, or is stopped. Raises EngineError.

    A pause freezes the process, with its memory. Park ends it with what it has learnt.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    over = threading.Event()
    watcher = threading.Thread(target=_steer, args=(process, sink, over), name="outside", daemon=True)
    try:
        with process.stdin as stdin:
            stdin.write(msgspec.json.encode(job))
        watcher.start()
        return _followed(_lines(process), sink)
    finally:
        over.set()
        if process.poll() is None:
            process.kill()
        process.wait()


def _followed(lines: Iterator[Told], sink: RunSink) -> RunOutcome:
    for told in lines:
        if told.fault is not None:
            raise EngineError(told.fault)
        if told.outcome is not None:
            return told.outcome
        if told.steps:
            sink.sized(told.steps)
        if told.phase is not None:
            sink.phase(told.phase, told.step)
        if told.point is not None:
            sink.point(told.point)
    if sink.stopped.is_set():
        return RunOutcome(0)
    raise fault("run_failed", "The process of this run ended without a word", remedy="Start it again")


def _lines(process: subprocess.Popen[bytes]) -> Iterator[Told]:
    assert process.stdout is not None
    decoder = msgspec.json.Decoder(Told)
    for raw in process.stdout:
        try:
            yield decoder.decode(raw)
        except msgspec.DecodeError:
            continue


def _steer(process: subprocess.Popen[bytes], sink: RunSink, over: threading.Event) -> None:
    """Freeze, thaw and end it as the sink says."""
    frozen = asked = False
    while not over.wait(LOOK_SECONDS) and process.poll() is None:
        ends = sink.stopped.is_set() or (sink.pausing.is_set() and sink.pause_mode == "park")
        stands = sink.pausing.is_set() and not ends
        if stands != frozen:
            process.send_signal(signal.SIGSTOP if stands else signal.SIGCONT)
            frozen = stands
            sink.phase("paused" if stands else "train")
        if ends and not asked:
            process.terminate()
            asked = True
