"""The event log of one run: a file that only grows, one JSON object a line.

    {"point": {"step": 12, "loss": 1.83, ...}}   one optimiser step, or one evaluation
    {"mark": {"phase": "eval", "at": ...}}       a phase begins
    {"run": {"id": "0007-pirate", ...}}          the run as it stood when its state changed

What a killed process has written is in the kernel's hands, so a line counts as kept once `write` returned;
fsync is for a machine that loses power, and comes at each mark and every few seconds.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine.protocol.runs import PhaseMark, RunInfo, StepPoint
from engine.runs.faults import unwritten

NAME = "events.jsonl"
SYNC_SECONDS = 3.0
"""Between two fsyncs while only steps are written."""
PAGE = 4000
"""Points of one page at most: a page travels as one line of the protocol, of at most 1 MiB."""
TAIL = 1 << 16
"""Bytes at the end of a log in which its last newline is looked for."""


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line; exactly one of these is set."""

    point: StepPoint | None = None
    mark: PhaseMark | None = None
    run: RunInfo | None = None


class Stretch(msgspec.Struct, frozen=True):
    """A part of a curve, oldest first."""

    points: tuple[StepPoint, ...]
    marks: tuple[PhaseMark, ...]
    more: bool = False
    """Whether points of later steps follow; a step is never split."""


class LogWriter:
    """Appends to a log. Used by one thread at a time. Raises EngineError `disk_full` or `run_unwritable`."""

    def __init__(self, path: Path) -> None:
        """Open or create the file, mode 0600; what a killed writer left of a last line is cut off."""
        self._path = path
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

    def run(self, info: RunInfo) -> None:
        """The run's state changed; on disk when this returns."""
        self._append(Line(run=info))
        self.sync()

    def sync(self) -> None:
        """Bring all of it to the disk."""
        try:
            os.fsync(self._file)
        except OSError as error:
            raise unwritten("the run's log", self._path, error) from error
        self._synced = time.monotonic()

    def close(self) -> None:
        os.close(self._file)

    def _append(self, line: Line) -> None:
        data = msgspec.json.encode(line) + b"\n"
        try:
            done = 0
            while done < len(data):  # a disk that runs full takes a part first
                done += os.pwrite(self._file, data[done:], self._size + done)
        except OSError as error:
            with contextlib.suppress(OSError):  # half a line is passed over, and written over
                os.ftruncate(self._file, self._size)
            raise unwritten("the run's log", self._path, error) from error
        self._size += len(data)


def lines(path: Path) -> Iterator[Line]:
    """Every whole line that makes sense; none when there is no file. Raises OSError."""
    decoder = msgspec.json.Decoder(Line)
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        return
    with file:
        for line in file:
            try:
                yield decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # cut off by a kill, or of a later version


def read(path: Path, since: int = 0, limit: int = PAGE) -> Stretch:
    """The curve from step `since` on, about `limit` points of it. Raises OSError."""
    points: list[StepPoint] = []
    marks: list[PhaseMark] = []
    more = False
    for line in lines(path):
        if line.mark is not None and line.mark.step >= since:
            marks.append(line.mark)
        if line.point is None or line.point.step < since:
            continue
        if len(points) >= max(1, min(limit, PAGE)) and line.point.step > points[-1].step:
            more = True
            break
        points.append(line.point)
    if more:  # a mark of the next step stands before its point, and comes with it
        marks = [mark for mark in marks if mark.step <= points[-1].step]
    return Stretch(tuple(points), tuple(marks), more)


def _whole(file: int) -> int:
    """Bytes up to the end of the last whole line."""
    size = os.fstat(file).st_size
    start = max(0, size - TAIL)
    tail = os.pread(file, size - start, start)
    return start + tail.rfind(b"\n") + 1
