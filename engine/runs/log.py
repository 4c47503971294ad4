"""The event log of one run: a file that only grows, one JSON object a line.

    {"point": {"step": 12, "loss": 1.83, ...}}   one optimiser step, or one evaluation
    {"mark": {"phase": "eval", "at": ...}}       a phase begins
    {"sample": {"step": 12, "prompt": ...}}      the answer to one of the spec's prompts
    {"run": {"id": "0007-pirate", ...}}          the run as it stood when its state changed

What a killed process has written is in the kernel's hands, so a line counts as kept once `write` returned;
fsync is for a machine that loses power, and comes at each mark and every few seconds. A run that was taken up
again logs the steps after its checkpoint once more: the last line of a step counts.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine.files import put_all
from engine.protocol.report import RunSample
from engine.protocol.runs import PhaseMark, RunInfo, StepPoint
from engine.runs.faults import unwritten

NAME = "events.jsonl"
SYNC_SECONDS = 3.0
"""Between two fsyncs while only steps are written."""
PAGE = 4000
"""Points of one page at most: a page travels as one line of the protocol, of at most 1 MiB."""
SAMPLES = 200
"""Of one page at most."""
TAIL = 1 << 16
"""Bytes at the end of a log in which its last newline is looked for at a time."""
LINE_LIMIT = 1 << 20
"""Bytes of a line at most; what is longer is none of ours."""
TOLD = 20
"""Numbers of damaged lines that are told at most."""


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line; exactly one of these is set."""

    point: StepPoint | None = None
    mark: PhaseMark | None = None
    run: RunInfo | None = None
    sample: RunSample | None = None


class Stretch(msgspec.Struct, frozen=True):
    """A part of a curve, oldest first."""

    points: tuple[StepPoint, ...]
    marks: tuple[PhaseMark, ...]
    more: bool = False
    """Whether points of later steps follow; a step is never split."""
    damaged: tuple[int, ...] = ()
    """Numbers of the first lines that could not be read, from 1."""
    samples: tuple[RunSample, ...] = ()
    """Of the same steps, oldest first; the newest SAMPLES of them."""


class LogWriter:
    """Appends to a log, from any thread. Raises EngineError `disk_full` or `run_unwritable`."""

    def __init__(self, path: Path) -> None:
        """Open or create the file, mode 0600; what a killed writer left of a last line is cut off."""
        self._path = path
        self._lock = threading.Lock()
        """A person's new name comes from another thread than the steps."""
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._size = _whole(self._file)
            os.ftruncate(self._file, self._size)
        except OSError as error:
            raise unwritten("the run's log", path, error) from error
        self._synced = time.monotonic()

    def point(self, point: StepPoint) -> None:
        """A step; on disk within a few seconds, safe from a kill at once."""
        self._append(Line(point=point))
        if time.monotonic() - self._synced >= SYNC_SECONDS:
            self.sync()

    def mark(self, mark: PhaseMark) -> None:
        """A phase begins; on disk when this returns."""
        self._append(Line(mark=mark))
        self.sync()

    def sample(self, sample: RunSample) -> None:
        """An answer during the run; on disk within a few seconds."""
        self._append(Line(sample=sample))

    def run(self, info: RunInfo) -> None:
        """The run's state changed; on disk when this returns."""
        self._append(Line(run=info))
        self.sync()

    def sync(self) -> None:
        """Bring all of it to the disk."""
        try:
            with self._lock:
                os.fsync(self._file)
        except OSError as error:
            raise unwritten("the run's log", self._path, error) from error
        self._synced = time.monotonic()

    def close(self) -> None:
        """What comes later is refused: the descriptor may be another file's by then."""
        with self._lock:
            os.close(self._file)
            self._file = -1

    def _append(self, line: Line) -> None:
        self.append(msgspec.json.encode(line))

    def append(self, line: bytes) -> None:
        """One line, whatever it says; safe from a kill at once."""
        data = line + b"\n"
        with self._lock:
            try:
                put_all(self._file, data, self._size)
            except OSError as error:
                with contextlib.suppress(OSError):  # half a line is passed over, and written over
                    os.ftruncate(self._file, self._size)
                raise unwritten("the run's log", self._path, error) from error
            self._size += len(data)


def lines(path: Path, damaged: list[int] | None = None) -> Iterator[Line]:
    """Every whole line that makes sense; none when there is no file. Raises OSError.

    Numbers of the others, from 1, are added to `damaged`: cut off by a kill, spoilt, or of a later version.
    """
    decoder = msgspec.json.Decoder(Line)
    for number, line in enumerate(raw_lines(path), 1):
        try:
            yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if damaged is not None and len(damaged) < TOLD:
                damaged.append(number)


def read(path: Path, since: int = 0, limit: int | None = PAGE) -> Stretch:
    """The curve from step `since` on, about `limit` points of it; None is all. Raises OSError."""
    damaged: list[int] = []
    steps: dict[int, dict[bool, StepPoint]] = {}
    marks: list[PhaseMark] = []
    samples: dict[tuple[int, str], RunSample] = {}
    resumed = 0
    most = sys.maxsize if limit is None else max(1, min(limit, PAGE))
    for line in lines(path, damaged):
        if line.mark is not None and line.mark.step >= since:
            marks.append(line.mark)
        point = line.point
        # One step more than the page has tells that more follow; the last one held is the highest.
        if point is not None and point.step >= since and _in_reach(steps, point.step, most):
            steps.setdefault(point.step, {})[point.eval_loss is None] = point
        if line.sample is not None and line.sample.step >= since:
            samples[line.sample.step, line.sample.prompt] = line.sample
        if line.run is not None and len(line.run.resumed) > resumed:
            resumed = len(line.run.resumed)
            for step in [step for step in steps if step > line.run.resumed[-1]]:
                del steps[step]
            samples = {key: each for key, each in samples.items() if key[0] <= line.run.resumed[-1]}
    points: list[StepPoint] = []
    for step in sorted(steps):
        if len(points) >= most:
            # A mark of the next step stands before its point, and comes with it.
            marks = [mark for mark in marks if mark.step <= points[-1].step]
            told = _newest(samples, points[-1].step)
            return Stretch(tuple(points), tuple(marks), more=True, damaged=tuple(damaged), samples=told)
        points += steps[step].values()
    told = _newest(samples)
    return Stretch(tuple(points), tuple(marks), damaged=tuple(damaged), samples=told)


def _in_reach(steps: dict[int, dict[bool, StepPoint]], step: int, most: int) -> bool:
    """Whether a step may be on the page: those far behind it are not held. Steps come in order."""
    return len(steps) <= most or step in steps or step < next(reversed(steps))


def _newest(samples: dict[tuple[int, str], RunSample], last: int | None = None) -> tuple[RunSample, ...]:
    """Those up to a step, as many as a page holds."""
    fitting = [each for each in samples.values() if last is None or each.step <= last]
    return tuple(fitting[-SAMPLES:])


def raw_lines(path: Path) -> Iterator[bytes]:
    """Lines as they are; of one that is too long the beginning, once."""
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        return
    with file:
        while line := file.readline(LINE_LIMIT):
            yield line
            while line and not line.endswith(b"\n"):
                line = file.readline(LINE_LIMIT)


def _whole(file: int) -> int:
    """Bytes up to the end of the last whole line."""
    end = os.fstat(file).st_size
    while end:
        start = max(0, end - TAIL)
        found = os.pread(file, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
