"""Memory over time, of the engine and of each run: fed with every sample, asked by ReadMemory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from engine.lanes import Lane
from engine.memory_history import History, at_most, point_of, still
from engine.protocol.errors import fault
from engine.protocol.memory_history import MemoryPage, MemoryPoint, ReadMemory
from engine.protocol.runs import RunInfo
from engine.protocol.specs import MonitorSample
from engine.runs import folder, log, memory_log
from engine.runs.live import LiveRun


class MemoryBook:
    """Used from the loop's thread; the runs' files are touched in the disk lane."""

    def __init__(
        self,
        disk: Lane,
        lives: Callable[[], Sequence[LiveRun]],
        find: Callable[[str], RunInfo],
        works: Callable[[], bool],
        speed: Callable[[], float],
    ) -> None:
        """`lives`: what trains now; `find` raises EngineError for a run that is unknown; `works`: whether
        anything is under way; `speed`: tokens a second of the replies that grow now."""
        self._disk = disk
        self._lives = lives
        self._find = find
        self._works = works
        self._speed = speed
        self._history = History()
        self._last: MemoryPoint | None = None

    def add(self, sample: MonitorSample) -> None:
        """One more sample."""
        lives = [live for live in self._lives() if live.info.state == "running"]
        first = lives[0].info if lives else None
        speed = first.tokens_per_s if first is not None else self._speed()
        pool, point = point_of(sample, speed)
        if first is not None:
            point = replace(point, step=first.step, loss=first.loss)
        held = at_most(sample, pool, point)
        self._history.pool = pool
        self._history.peaks(point.most, held)
        if self._works() or not still(self._last, point):
            self._history.add(point)
            self._last = point
        for live in lives:
            info = live.info
            own = replace(point, step=info.step, loss=info.loss, tokens_per_s=info.tokens_per_s)
            self._disk.run(live.memory.add, own, pool, held)

    async def read(self, command: ReadMemory) -> MemoryPage:
        """Since the engine began, or of one run. Raises EngineError `run_unknown`, `run_unreadable`."""
        if not command.run:
            return self._history.page(command.since)
        info = self._find(command.run)
        live = next((live for live in self._lives() if live.info.id == info.id), None)
        if live is not None:
            return await self._disk.run(live.memory.page, command.since)
        place = folder.folder(info.id)
        try:
            return await self._disk.run(_stored, place, command.since)
        except OSError as error:
            reason = error.strerror or str(error)
            raise fault("run_unreadable", f"The files in {place} cannot be read", reason) from error


def _stored(place: Path, since: float) -> MemoryPage:
    """Of a run that does not train now; one of the time before there were records has its log."""
    page = memory_log.read(place / memory_log.NAME, since)
    return page if page.pool or page.marks else memory_log.read_old(place / log.NAME, since)
