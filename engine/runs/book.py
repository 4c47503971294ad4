"""Every run as its folder has it: listed, found, paged, ended, deleted and brought back."""

from __future__ import annotations

import asyncio
import logging
import time

from msgspec.structs import replace

from engine.bus import Bus
from engine.daemon import exit_note
from engine.lanes import Lane
from engine.protocol.commands import ReadRun, RunPage
from engine.protocol.errors import EngineError, fault
from engine.protocol.events import RunChanged, RunGone
from engine.protocol.runs import ENDED_STATES, RunInfo
from engine.runs import folder, log, report
from engine.runs.faults import run_unknown
from engine.runs.recover import record, recover

logger = logging.getLogger(__name__)
RETRY_SECONDS = 3.0
"""Between two tries to store how a run ended while the disk refuses."""


class RunBook:
    """What is known of the runs. Used from the loop's thread; files are touched in the disk lane."""

    def __init__(self, bus: Bus, disk: Lane) -> None:
        self._bus = bus
        self._disk = disk
        self._runs: dict[str, RunInfo] = {}
        self._unstored: dict[str, asyncio.Task[None]] = {}

    @property
    def unstored(self) -> bool:
        """Whether the end of a run is not on disk yet."""
        return bool(self._unstored)

    async def open(self) -> None:
        """Read all folders; runs that a dead engine left running wait to go on, or have failed."""
        found = await self._disk.run(_recovered)
        self._runs = {info.id: info for info in found}

    def close(self) -> None:
        """Give up on what the disk refused."""
        for task in self._unstored.values():
            task.cancel()

    def infos(self) -> tuple[RunInfo, ...]:
        """All runs, newest first."""
        return tuple(sorted(self._runs.values(), key=lambda info: folder.number(info.id), reverse=True))

    def find(self, ref: str) -> RunInfo:
        """A run by id, its number, or a name that one run has; raises `run_unknown` or `run_ambiguous`."""
        if ref in self._runs:
            return self._runs[ref]
        if ref.isascii() and ref.isdigit():
            matches = [info for info in self.infos() if folder.number(info.id) == int(ref[:9])]
        else:
            matches = [info for info in self.infos() if info.name == ref]
        if not matches:
            raise run_unknown(ref)
        if len(matches) > 1:
            named = ", ".join(info.id for info in matches[:5])
            raise fault(
                "run_ambiguous", f"More than one run is called {ref}", f"It could be {named}", "Give its id"
            )
        return matches[0]

    async def read(self, command: ReadRun) -> RunPage:
        """A stretch of a run's curve, from its log."""
        info = self.find(command.run)
        path = folder.log_path(info.id)
        try:
            found = await self._disk.run(log.read, path, command.since, command.limit)
        except OSError as error:
            reason = error.strerror or str(error)
            raise fault("run_unreadable", f"The log {path} cannot be read", reason) from error
        known = self._runs.get(info.id, info)
        told = None if command.since else await self._disk.run(report.read, path.parent)
        return RunPage(
            known, found.points, found.marks, found.more, str(path), found.damaged, found.samples, told
        )

    # --- changes ----------------------------------------------------------------------------

    async def add(self, info: RunInfo) -> RunInfo:
        """Store a new run; it has its id then."""
        info = await self._disk.run(folder.create, info)
        self.tell(info)
        return info

    def note(self, info: RunInfo) -> None:
        """Newer numbers of a run, told elsewhere."""
        self._runs[info.id] = info

    def tell(self, info: RunInfo) -> None:
        """Publish a run as it is on disk."""
        self._runs[info.id] = info
        self._bus.publish(RunChanged(info))

    async def save_and_tell(self, info: RunInfo) -> None:
        """Write a change that the log has already, then publish it."""
        try:
            await self._disk.run(folder.save, info)
        except EngineError as error:
            logger.warning("%s", error.info.sentence())
        self.tell(info)

    async def end(self, info: RunInfo) -> RunInfo:
        """Store a run as it ended, or as it stands until it goes on, and tell everyone.

        A full disk keeps it in memory and tries again.
        """
        info = at_rest(info)
        try:
            await self._disk.run(record, info)
        except EngineError as error:
            logger.warning("%s", error.info.sentence())
            self._later(info)
        self.tell(info)
        return info

    async def delete(self, ref: str) -> None:
        """Move an ended run to the trash; raises EngineError `run_active` for another."""
        info = self.find(ref)
        if info.state not in ENDED_STATES:
            raise fault("run_active", f"{info.name} has not ended yet", remedy="Stop it, then delete it")
        await self._disk.run(folder.discard, info.id)
        self._runs.pop(info.id, None)
        self._bus.publish(RunGone(info.id))

    async def restore(self, run: str) -> None:
        """Bring a run back from the trash, by its id."""
        if run not in self._runs:
            self.tell(await self._disk.run(folder.restore, run))

    async def _store_later(self, info: RunInfo) -> None:
        while self._runs.get(info.id) == info:  # it may go on meanwhile
            await asyncio.sleep(RETRY_SECONDS)
            try:
                await self._disk.run(record, info)
            except EngineError:
                continue
            break
        if self._unstored.get(info.id) is asyncio.current_task():
            self._unstored.pop(info.id)

    def _later(self, info: RunInfo) -> None:
        self._runs[info.id] = info
        waiting = self._unstored.get(info.id)
        if waiting is not None:
            waiting.cancel()
        self._unstored[info.id] = asyncio.create_task(self._store_later(info))


def at_rest(info: RunInfo) -> RunInfo:
    """A run that trains no more, for now or for good."""
    if info.state in ENDED_STATES:
        return replace(info, phase="end", eta_s=None, pause="", ended=info.ended or time.time())
    return replace(info, phase="paused" if info.state == "paused" else "waiting", eta_s=None)


def _recovered() -> list[RunInfo]:
    note = exit_note()
    too_large = note.run if note is not None and note.out_of_memory else ""
    return [recover(info, out_of_memory=info.id == too_large) for info in folder.load_all()]
