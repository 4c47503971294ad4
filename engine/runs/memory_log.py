"""The memory of one run, kept beside its log: a file that only grows, one JSON object a line.

    {"pool": "gpu0.gtt"}                         the pool that the lines after it are of
    {"point": {"at": ..., "ours": ..., ...}}     a stretch of time: a second, later up to eight
    {"mark": {"phase": "eval", "peak": ...}}     a phase begins; with the peak of the one before
    {"peak": {"most": ..., "holdings": [...]}}   the highest so far, and what the bytes were

It is written as the run's log is (see `log`), with its rules for a killed writer. It matters less than the
run: what cannot be written is logged once and left out.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from engine.memory_history import History, joined
from engine.protocol.errors import EngineError
from engine.protocol.memory import Holding
from engine.protocol.memory_history import MemoryPage, MemoryPoint
from engine.protocol.runs import PhaseMark
from engine.runs import log
from engine.runs.log import LogWriter, raw_lines

logger = logging.getLogger(__name__)
NAME = "memory.jsonl"
STRETCH = 600
"""Points that are written before each one stands for twice the time."""
LONGEST = 8.0
"""Seconds that a point stands for at most, and that a killed engine loses."""
HIGHER = 1.01
"""How much higher a peak is than the last one that was written; the one at the end is written anyway."""
MARKS = 20_000
"""Marks of a file that are read at most."""


class Peak(msgspec.Struct, frozen=True, omit_defaults=True):
    """The highest of a run so far."""

    at: float
    most: int
    step: int = 0
    holdings: tuple[Holding, ...] = ()


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line; exactly one of these is set."""

    pool: str = ""
    point: MemoryPoint | None = None
    mark: PhaseMark | None = None
    peak: Peak | None = None


class Told:
    """What the lines say, folded."""

    def __init__(self) -> None:
        self.history = History()
        self.marks: list[PhaseMark] = []
        self.points = 0
        """Lines with one."""

    def fold(self, line: Line) -> None:
        """One more line."""
        if line.pool:
            self.history.pool = line.pool
        if line.point is not None:
            self.points += 1
            self.history.add(line.point)
        if line.mark is not None and len(self.marks) < MARKS:
            self.marks.append(line.mark)
        if line.peak is not None:
            self.history.peaks(line.peak.most, line.peak.holdings)

    def page(self, since: float = 0.0) -> MemoryPage:
        return self.history.page(since, self.marks)


class RunMemory:
    """A run's record while it trains. Any thread may call it; nothing here raises."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened before the first line."""
        self._path = path
        self._lock = threading.Lock()
        self._told: Told | None = None
        self._writer: LogWriter | None = None
        self._broken = False
        self._pending: MemoryPoint | None = None
        self._began = 0.0
        """When the pending stretch began."""
        self._peak = Peak(0.0, 0)
        self._written = 0
        """The highest that is on disk."""

    def mark(self, mark: PhaseMark) -> None:
        """A phase begins."""
        with self._lock:
            self._flush()
            self._write(Line(mark=mark))

    def add(self, point: MemoryPoint, pool: str, held: Sequence[Holding]) -> None:
        """One more second; `held`: what the bytes were at its highest."""
        with self._lock:
            told = self._open()
            if pool != told.history.pool:
                self._write(Line(pool=pool))
            if point.most > self._peak.most:
                self._peak = Peak(point.at, point.most, point.step, tuple(held))
            if self._pending is None:
                self._began = point.at
            self._pending = point if self._pending is None else joined(self._pending, point)
            stretch = min(LONGEST, 2.0 ** (told.points // STRETCH))
            higher = self._peak.most > HIGHER * self._written
            if higher or abs(point.at - self._began) >= stretch - 1.5:
                self._flush()
            if higher:
                self._write_peak()

    def page(self, since: float = 0.0) -> MemoryPage:
        """As ReadMemory answers it, the stretch that is not written yet included."""
        with self._lock:
            page = self._open().page(since)
            pending = self._pending
            if pending is not None and pending.at > since:
                page = replace(page, points=(*page.points, pending))
            return page

    def close(self) -> None:
        """Write what is left, and let go of the file."""
        with self._lock:
            self._flush()
            if self._peak.most > self._written:
                self._write_peak()
            if self._writer is not None:
                self._writer.close()
            self._writer, self._broken = None, True

    def _flush(self) -> None:
        point, self._pending = self._pending, None
        if point is not None:
            self._write(Line(point=point))

    def _write_peak(self) -> None:
        self._written = self._peak.most
        self._write(Line(peak=self._peak))

    def _open(self) -> Told:
        if self._told is None:
            try:
                self._told = _folded(self._path)
            except OSError as error:
                self._told, self._broken = Told(), True
                logger.warning("the memory of a run cannot be read: %s", error)
            self._written = self._told.history.peak
            self._peak = Peak(0.0, self._written)
        return self._told

    def _write(self, line: Line) -> None:
        self._open().fold(line)
        if self._broken:
            return
        try:
            if self._writer is None:
                self._writer = LogWriter(self._path)
            self._writer.append(msgspec.json.encode(line))
        except EngineError as error:
            self._broken = True
            logger.warning("the memory of a run is not kept: %s", error.info.sentence())


def read(path: Path, since: float = 0.0) -> MemoryPage:
    """What a run's record says; an empty page without one. Raises OSError."""
    return _folded(path).page(since)


def read_old(path: Path, since: float = 0.0) -> MemoryPage:
    """The same of a run without a record, from its log: a point a step, and no holdings. Raises OSError."""
    curve = log.read(path, limit=None)
    history = History()
    history.pool = "ram"
    for point in curve.points:
        if point.memory and point.loss is not None:
            speed = point.tokens / point.seconds if point.seconds > 0 else 0.0
            ours = point.memory
            history.add(MemoryPoint(point.at, 0, ours, ours, ours, speed, point.step, point.loss))
    return history.page(since, curve.marks)


def _folded(path: Path) -> Told:
    told, decoder = Told(), msgspec.json.Decoder(Line)
    for raw in raw_lines(path):
        try:
            told.fold(decoder.decode(raw))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue  # cut off by a kill, or of a later version
    return told
