"""The runs: stored first, then trained one at a time in the order of the queue."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec.structs import replace

from engine.bus import Bus
from engine.data.load import require_held, require_rows
from engine.data.place import data_path
from engine.data.reward import check_grpo
from engine.data.shipped import datasets
from engine.data.spec_file import checked
from engine.lanes import Lane
from engine.protocol import commands as c
from engine.protocol.errors import fault
from engine.protocol.runs import ENDED_STATES, Estimate, RunInfo, TrainSpec
from engine.protocol.specs import ModelInfo
from engine.runs import folder, notify, outcome, under_way
from engine.runs.adapters import Adapters
from engine.runs.book import RunBook
from engine.runs.housekeeping import adopt, expire_trash
from engine.runs.live import LiveRun
from engine.runs.naming import name_result, unused
from engine.runs.prepare import data_hash, settled, trainable, versions
from engine.runs.queue import RunQueue
from engine.runs.quiet import Quiet
from engine.runs.race import Race
from engine.runs.race_book import RaceBook
from engine.runs.tracking import require_trackers
from engine.runs.work import Work
from engine.shelf import Shelf

log = logging.getLogger(__name__)
JOIN_SECONDS = 0.2
"""Between two looks at who wants to join a race."""
CLOSE_SECONDS = 10.0
"""That an active run has to save itself when the engine ends."""


class Runner:
    """Answers the commands about runs, and trains. Used from the loop's thread. See Steering for the rest."""

    def __init__(self, bus: Bus, shelf: Shelf, lane: Lane, disk: Lane) -> None:
        """`lane` trains and does nothing else; `disk` reads and writes small files."""
        self._shelf = shelf
        self._disk = disk
        # A dataset may take seconds to read, and the training lane hours: neither may hold up the other.
        self._data = Lane("data")
        self.book = RunBook(bus, disk)
        self.queue = RunQueue(disk, self._moved)
        self.quiet = Quiet()
        self.short: Callable[[], bool] = lambda: False
        """Whether memory is too short for a run to begin."""
        self.adapters = Adapters(bus, shelf, disk, self._unended)
        self.work = Work(bus, shelf, self.book, lane, disk, self._data)
        self.work.saved = self.adapters.refresh
        self.placed: Callable[[TrainSpec], Awaitable[TrainSpec]] = _as_it_is
        """Makes files of data that is none yet, before a run is stored."""
        self._ending: set[str] = set()
        """Ids of runs whose end is not told yet."""
        self._now = ""
        """Id of the run that starts whether somebody chats or not."""
        self._lane = lane
        self.races = RaceBook(disk)
        self._works: dict[str, Work] = {}
        """Of a race's members, by run."""
        self.ended: Callable[[RunInfo], None] = lambda _: None
        """Told of each run that trains no more, for now or for good."""
        self._worker: asyncio.Task[None] | None = None
        self._leaving = False
        """The engine ends: the run under way is the last one."""

    # --- life -------------------------------------------------------------------------------

    async def open(self) -> None:
        """Read all runs and adapters, and go on with the queue. Call once the models are known."""
        await self._disk.run(under_way.forget)
        await self.book.open()
        await self.races.open()
        await self._disk.run(expire_trash, time.time())
        await self.adapters.refresh()
        waiting = [info for info in reversed(self.book.infos()) if info.state == "queued"]
        waiting.sort(key=lambda info: not info.started)  # what had begun goes on first
        await self.queue.open([info.id for info in waiting])
        self._worker = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Park the active run; it goes on first with the next engine, as what is queued does."""
        self._leaving = True
        lives = self.lives
        for live in lives:
            live.leaving = True
            live.pause("park")
        deadline = time.monotonic() + CLOSE_SECONDS
        while lives and self._ending and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        if self._worker is not None:
            self._worker.cancel()
        await self._disk.run(under_way.forget)
        self.book.close()
        self._data.close()

    @property
    def busy(self) -> bool:
        """Whether a run waits or trains, or the end of one is not stored yet."""
        return bool(self.queue.order) or bool(self._ending) or self.book.unstored

    @property
    def model(self) -> str:
        """Id of the model that a run trains on now; empty when none does."""
        return next((live.info.spec.model for live in self.lives), "")

    @property
    def lives(self) -> tuple[LiveRun, ...]:
        """What trains now: one run, or the members of a race."""
        works = (self.work, *self._works.values())
        return tuple(work.live for work in works if work.live is not None)

    def live(self, run: str) -> LiveRun | None:
        """A run by its whole id while it trains."""
        return next((live for live in self.lives if live.info.id == run), None)

    def infos(self) -> tuple[RunInfo, ...]:
        """All runs, newest first."""
        return self.book.infos()

    # --- before a run -----------------------------------------------------------------------

    async def datasets(self, _: c.ListDatasets) -> c.DatasetList:
        """What comes with Qwill."""
        return c.DatasetList(await self._disk.run(datasets))

    async def estimate(self, command: c.EstimateRun) -> Estimate:
        """What a run would take; answers while another run trains."""
        spec, model, path = await self._complete(command.spec)
        trainer = (await asyncio.shield(self._shelf.backend)).trainer
        return await self._data.run(trainer.estimate, spec, model, str(path))

    async def start(self, command: c.StartRun) -> RunInfo:
        """Store a run, then queue it. Refuses what cannot work, with the reason."""
        info = await self.fresh(command.spec, idle=command.idle)
        if command.hold:
            info = outcome.parked(info)
        info = await self.book.add(info)
        if not command.hold:
            await self.queue.put(info.id)
        return self.book.find(info.id)

    async def fresh(self, wanted: TrainSpec, *, idle: bool = False) -> RunInfo:
        """A run that is not stored yet. Raises EngineError for what cannot work."""
        spec, _, path = await self._complete(wanted)
        if not wanted.name:
            spec = replace(spec, name=unused(spec.name, {info.name for info in self.book.infos()}))
        await self._data.run(require_rows, spec, path)
        if spec.eval_data:
            await self._data.run(require_held, spec)
        return RunInfo(
            id="",
            spec=spec,
            name=spec.name,
            steps=spec.steps,
            created=time.time(),
            data_hash=await self._data.run(data_hash, path),
            versions=await self._data.run(versions),
            tags=spec.tags,
            idle=idle,
        )

    async def _complete(self, spec: TrainSpec) -> tuple[TrainSpec, ModelInfo, Path]:
        """The spec with nothing left open, its base and its data; raises EngineError for what cannot work."""
        checked(spec)
        require_trackers(spec.trackers)
        check_grpo(spec)
        spec = await self.placed(spec)
        path = await self._disk.run(data_path, spec.data)
        held = await self._disk.run(data_path, spec.eval_data) if spec.eval_data else None
        model = trainable(await self._shelf.find(spec.model), spec.objective)
        return settled(spec, model, path, held), model, path

    # --- requests ---------------------------------------------------------------------------

    async def listing(self, _: c.ListRuns) -> c.RunList:
        """All runs, newest first."""
        return c.RunList(self.book.infos())

    async def read(self, command: c.ReadRun) -> c.RunPage:
        """A stretch of a run's curve, from its log."""
        return await self.book.read(command)

    async def stop(self, command: c.StopRun) -> RunInfo:
        """End a run after its present step; one that waits is taken out of the queue."""
        info = self.book.find(command.run)
        if info.state in ENDED_STATES:
            raise fault("run_ended", f"{info.name} has ended already")
        live = self.live(info.id)
        if live is not None:
            live.stop(save=command.save)
            return live.info
        if info.id in self._ending:  # it ends this moment
            return info
        await self.queue.take(info.id)
        kept = command.save and await self._disk.run(adopt, info.id)
        info = await self.book.end(outcome.stopped(replace(info, adapter=info.id if kept else info.adapter)))
        await self.adapters.refresh()
        return info

    async def delete(self, command: c.DeleteRun) -> c.Done:
        """Move an ended run to the trash, or bring it back."""
        if command.restore:
            await self.book.restore(command.run)
        else:
            await self.book.delete(command.run)
        await self.adapters.refresh()
        return c.Done()

    def hurry(self, run: str) -> None:
        """Let this run start even while somebody chats."""
        self._now = run

    # --- one after another ------------------------------------------------------------------

    async def _work(self) -> None:
        while not self._leaving:
            run = await self.queue.next(self._ready)
            race = self.races.of(self.book.find(run).spec.group)
            if race is None or not race.turns:
                await self._take(run, self.work)
            else:
                await self._race(Race(race.group, self.races, self._lane, self._disk))

    async def _race(self, race: Race) -> None:
        """All members that wait, in turns; those that queue up meanwhile and would come next join in."""
        await race.open(self.book.infos())
        waiting = [run for run in self.queue.order if run in race.runs]
        tasks: set[asyncio.Task[None]] = set()
        try:
            while waiting or tasks:
                for run in waiting:
                    race.joins(run)
                    self._works[run] = self.work.beside(race.train)
                    tasks.add(asyncio.create_task(self._member(race, run)))
                _, tasks = await asyncio.wait(
                    tasks, timeout=JOIN_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                first = self.queue.order[:1]
                joins = bool(first) and first[0] in race.runs and first[0] not in self._works
                waiting = list(first) if joins and not self._leaving else []
        finally:
            for task in tasks:
                task.cancel()

    async def _member(self, race: Race, run: str) -> None:
        try:
            await self._take(run, self._works[run])
        finally:
            self._works.pop(run, None)
            await race.left(run)

    async def _take(self, run: str, work: Work) -> None:
        """Out of the queue, and to its end."""
        self._ending.add(run)
        await self.queue.take(run)
        try:
            await self._one(self.book.find(run), work)
        except Exception:  # the edge of a worker: the next run goes on
            log.exception("the end of a run could not be told")
        finally:
            self._ending.discard(run)

    async def _one(self, info: RunInfo, work: Work) -> None:
        await self._disk.run(under_way.note, info.id)
        ended = await work.run(info)
        if not self.lives:
            await self._disk.run(under_way.forget)
        again = ended.state == "queued"
        if again:
            await self.queue.put(ended.id, 2 if self._now and self._now in self.queue.order else 1)
        ended = outcome.called(ended, self.book.find(ended.id))
        if ended.adapter:
            ended = replace(ended, adapter_bytes=await self._disk.run(folder.adapter_size, ended.id))
        ended = await self.book.end(replace(ended, place=self.queue.place(ended.id)))
        if ended.name != ended.spec.name:
            await self._disk.run(name_result, ended)
        self._ending.discard(info.id)
        notify.ring(ended)
        self.ended(ended)
        await self.adapters.refresh()

    def _ready(self, run: str) -> bool:
        if self.short() and run != self._now:
            return False
        idle = [each for each in self.queue.order if self.book.find(each).idle]
        if not idle:
            self.quiet.forget()
        return run not in idle or run == self._now or self.quiet()

    def _moved(self) -> None:
        """Tell the places of those that wait."""
        for info in self.book.infos():
            place = self.queue.place(info.id)
            if info.place != place and (place or info.state != "running"):
                self.book.tell(replace(info, place=place))

    def _unended(self) -> tuple[str, ...]:
        return tuple(info.id for info in self.book.infos() if info.state in ("queued", "running", "paused"))


async def _as_it_is(spec: TrainSpec) -> TrainSpec:
    return spec
