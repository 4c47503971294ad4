"""The queue of runs: stored first, then trained one at a time; every change is on disk before it is told."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from engine.bus import Bus
from engine.data.read import check, usable_rows
from engine.data.shipped import datasets
from engine.data.spec_file import checked
from engine.lanes import Lane
from engine.protocol import commands as c
from engine.protocol.errors import EngineError, ErrorInfo, fault
from engine.protocol.events import RunMarked, RunStepped
from engine.protocol.runs import (
    ENDED_STATES,
    DatasetReport,
    Estimate,
    PhaseMark,
    RunInfo,
    StepPoint,
    TrainSpec,
)
from engine.protocol.specs import ModelInfo
from engine.runs import folder, outcome
from engine.runs.adapters import Adapters
from engine.runs.book import RunBook
from engine.runs.live import LiveRun, Piece
from engine.runs.prepare import data_hash, data_path, settled, trainable, versions
from engine.shelf import Shelf
from engine.training import RunJob, RunOutcome

log = logging.getLogger(__name__)
FLUSH_SECONDS = 0.1
"""Between two flushes of a run's events; of the steps between them the newest is told, all are in the log."""
CLOSE_SECONDS = 10.0
"""That an active run has to save its adapter when the engine ends."""


class Runner:
    """Answers the commands about runs, and trains. Used from the loop's thread."""

    def __init__(self, bus: Bus, shelf: Shelf, lane: Lane, disk: Lane) -> None:
        """`lane` trains and does nothing else; `disk` reads and writes small files."""
        self._bus = bus
        self._shelf = shelf
        self._lane = lane
        self._disk = disk
        # A dataset may take seconds to read, and the training lane hours: neither may hold up the other.
        self._data = Lane("data")
        self._book = RunBook(bus, disk)
        self.adapters = Adapters(bus, shelf, disk)
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._waiting: set[str] = set()
        """Ids of runs that wait or train, until their end is told."""
        self._live: LiveRun | None = None
        self._worker: asyncio.Task[None] | None = None
        self._leaving = False
        """The engine ends: the run under way is the last one."""

    # --- life -------------------------------------------------------------------------------

    async def open(self) -> None:
        """Read all runs and adapters, and go on with the queue. Call once the models are known."""
        await self._book.open()
        await self.adapters.refresh()
        for info in reversed(self._book.infos()):
            if info.state == "queued":
                self._enqueue(info)
        self._worker = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Stop the active run and keep its adapter; what is queued stays so for the next engine."""
        self._leaving = True
        live = self._live
        if live is not None:
            live.leaving = True
            live.stop(save=True)
            deadline = time.monotonic() + CLOSE_SECONDS
            while live.info.id in self._waiting and time.monotonic() < deadline:
                await asyncio.sleep(0.02)
        if self._worker is not None:
            self._worker.cancel()
        self._book.close()
        self._data.close()

    @property
    def busy(self) -> bool:
        """Whether a run waits or trains, or the end of one is not stored yet."""
        return bool(self._waiting) or self._book.unstored

    @property
    def model(self) -> str:
        """Id of the model that a run trains on now; empty when none does."""
        return self._live.info.spec.model if self._live is not None else ""

    def infos(self) -> tuple[RunInfo, ...]:
        """All runs, newest first."""
        return self._book.infos()

    # --- before a run -----------------------------------------------------------------------

    async def datasets(self, _: c.ListDatasets) -> c.DatasetList:
        """What comes with Qwill."""
        return c.DatasetList(await self._disk.run(datasets))

    async def check(self, command: c.CheckData) -> DatasetReport:
        """Every row of a dataset, read and judged."""
        path = await self._disk.run(data_path, command.data)
        return await self._data.run(check, path)

    async def estimate(self, command: c.EstimateRun) -> Estimate:
        """What a run would take; answers while another run trains."""
        spec, model, path = await self._complete(command.spec)
        trainer = (await self._shelf.backend).trainer
        return await self._data.run(trainer.estimate, spec, model, str(path))

    async def start(self, command: c.StartRun) -> RunInfo:
        """Store a run, then queue it. Refuses what cannot work, with the reason."""
        spec, _, path = await self._complete(command.spec)
        await self._data.run(usable_rows, path)
        info = RunInfo(
            id="",
            spec=spec,
            name=spec.name,
            steps=spec.steps,
            created=time.time(),
            data_hash=await self._data.run(data_hash, path),
            versions=await self._data.run(versions),
        )
        info = await self._book.add(info)
        self._enqueue(info)
        return info

    async def _complete(self, spec: TrainSpec) -> tuple[TrainSpec, ModelInfo, Path]:
        """The spec with nothing left open, its base and its data; raises EngineError for what cannot work."""
        checked(spec)
        path = await self._disk.run(data_path, spec.data)
        model = trainable(await self._shelf.find(spec.model))
        return settled(spec, model, path), model, path

    def _enqueue(self, info: RunInfo) -> None:
        self._waiting.add(info.id)
        self._queue.put_nowait(info.id)

    # --- requests ---------------------------------------------------------------------------

    async def listing(self, _: c.ListRuns) -> c.RunList:
        """All runs, newest first."""
        return c.RunList(self._book.infos())

    async def read(self, command: c.ReadRun) -> c.RunPage:
        """A stretch of a run's curve, from its log."""
        return await self._book.read(command)

    async def stop(self, command: c.StopRun) -> RunInfo:
        """End a run after its present step; one that waits is taken out of the queue."""
        info = self._book.find(command.run)
        if info.state in ENDED_STATES:
            raise fault("run_ended", f"{info.name} has ended already")
        if self._live is not None and self._live.info.id == info.id:
            self._live.stop(save=command.save)
            return self._live.info
        if info.state == "queued":
            return await self._end(outcome.stopped(info))
        return info

    async def delete(self, command: c.DeleteRun) -> c.Done:
        """Move an ended run to the trash, or bring it back."""
        if command.restore:
            await self._book.restore(command.run)
        else:
            await self._book.delete(command.run)
        await self.adapters.refresh()
        return c.Done()

    # --- one after another ------------------------------------------------------------------

    async def _work(self) -> None:
        while not self._leaving:
            info = self._book.find(await self._queue.get())
            if info.state != "queued":
                continue
            try:
                await self._end(await self._run(info))
                await self.adapters.refresh()
            except Exception:  # the edge of a worker: the next run goes on
                log.exception("the end of a run could not be told")

    async def _run(self, info: RunInfo) -> RunInfo:
        """One run from the wait for its model on; returns it as it ended. Never raises."""
        try:
            live = self._live = LiveRun(info, folder.log_path(info.id))
        except EngineError as error:
            return await self._failed(info, error.info)
        try:
            return await self._train(live)
        except EngineError as error:
            return await self._failed(live.info, error.info)
        except Exception as error:  # the edge of the training thread: this run fails, the next one goes on
            log.exception("a run failed")
            return await self._failed(live.info, outcome.unforeseen(error))
        finally:
            self._live = None
            live.close()

    async def _train(self, live: LiveRun) -> RunInfo:
        flusher = asyncio.create_task(self._flush_often(live))
        try:
            result = await self._trained(live)
        finally:
            flusher.cancel()
            await asyncio.gather(flusher, return_exceptions=True)
            await self._flush(live)  # what is still being told comes before the end
        if result is None:
            return outcome.stopped(live.info, leaving=live.leaving)
        return outcome.finished(live, result)

    async def _trained(self, live: LiveRun) -> RunOutcome | None:
        """What the trainer made of it; None when stopped before it began."""
        path = await self._disk.run(data_path, live.info.spec.data)
        await self._change(
            live,
            replace(
                live.info,
                state="running",
                started=time.time(),
                data_hash=await self._data.run(data_hash, path),  # it may have changed in the queue
            ),
        )
        model = await self._loaded(live)
        if model is None:
            return None
        job = RunJob(live.info.id, str(folder.folder(live.info.id)), live.info.spec, model, str(path))
        trainer = (await self._shelf.backend).trainer
        return await self._lane.run(partial(trainer.train, job, live, save_on_stop=live.save_on_stop))

    async def _loaded(self, live: LiveRun) -> ModelInfo | None:
        """The run's base, loaded first where it is not; None when stopped meanwhile."""
        await self._disk.run(live.phase, "waiting")
        wanted = asyncio.create_task(self._shelf.ready(live.info.spec.model))
        stopped = asyncio.create_task(live.ended_early.wait())
        await asyncio.wait({wanted, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not wanted.done():
            wanted.cancel()
            return None
        model = wanted.result()
        return None if live.stopped.is_set() else model

    async def _failed(self, info: RunInfo, error: ErrorInfo) -> RunInfo:
        kept = await self._disk.run(folder.has_adapter, info.id)
        return outcome.failed(info, error, kept=kept)

    async def _end(self, info: RunInfo) -> RunInfo:
        info = await self._book.end(info)
        self._waiting.discard(info.id)
        return info

    # --- while it trains --------------------------------------------------------------------

    async def _flush_often(self, live: LiveRun) -> None:
        while True:
            await live.changed.wait()
            # Shielded: what was taken is told.
            await asyncio.shield(asyncio.ensure_future(self._flush(live)))
            await asyncio.sleep(FLUSH_SECONDS)

    async def _flush(self, live: LiveRun) -> None:
        async with live.flushing:
            pieces = live.take()
            steps = [piece for piece in pieces if isinstance(piece, StepPoint) and piece.loss is not None]
            for piece in pieces:
                if isinstance(piece, StepPoint):
                    passed_over = piece.loss is not None and piece is not steps[-1]
                    self._step(live, piece, told=not passed_over)
                else:
                    await self._turn(live, piece)

    def _step(self, live: LiveRun, point: StepPoint, *, told: bool) -> None:
        live.info = live.fold(point)
        self._book.note(live.info)
        if told:
            self._bus.publish(RunStepped(live.info.id, point, live.info.eta_s))

    async def _turn(self, live: LiveRun, piece: Piece) -> None:
        if isinstance(piece, PhaseMark):
            self._bus.publish(RunMarked(live.info.id, piece))
        live.info = live.fold(piece)
        await self._book.save_and_tell(live.info)

    async def _change(self, live: LiveRun, info: RunInfo) -> None:
        """A change of state: in the log, then told."""
        await self._disk.run(live.writer.run, info)
        live.info = info
        await self._book.save_and_tell(info)
