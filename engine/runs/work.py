"""One run under way, from the wait for its model to its end; every change is on disk before it is told."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

from msgspec.structs import replace

from engine.bus import Bus
from engine.data.place import data_path
from engine.data.spec_file import filled, load_spec
from engine.lanes import Lane
from engine.protocol.errors import EngineError, ErrorInfo, fault
from engine.protocol.events import RunMarked, RunStepped
from engine.protocol.runs import PhaseMark, RunFinding, RunInfo, StepPoint
from engine.protocol.specs import ModelInfo
from engine.protocol.training import TrainSpec
from engine.runs import checkpoints, folder, outcome
from engine.runs.book import RunBook
from engine.runs.housekeeping import adopt
from engine.runs.live import LiveRun, Piece, Saved
from engine.runs.prepare import data_hash
from engine.runs.recover import as_logged
from engine.runs.tracking import Trackers
from engine.shelf import Shelf
from engine.training import RunJob, RunOutcome, Trainer

log = logging.getLogger(__name__)
Train = Callable[[Trainer, RunJob, LiveRun], Awaitable[RunOutcome | None]]
"""Trains a job in the training thread; None when it was stopped or parked before it began."""
FLUSH_SECONDS = 0.1
"""Between two flushes of a run's events; of the steps between them the newest is told, all are in the log."""

LOOK_SECONDS = 15.0
"""Between two looks whether a run in which nothing happens stands still."""


class Work:
    """Trains one run at a time. Used from the loop's thread."""

    def __init__(
        self,
        bus: Bus,
        shelf: Shelf,
        book: RunBook,
        training: Lane,
        disk: Lane,
        data: Lane,
        train: Train | None = None,
    ) -> None:
        """`train`: how the training thread is used; None is for the whole run at once."""
        self._bus = bus
        self._shelf = shelf
        self._book = book
        self._training = training
        self._disk = disk
        self._data = data
        self._train_it = train or self._at_once
        self.live: LiveRun | None = None
        self.saved: Callable[[], Awaitable[None]] = _nothing
        """Told when a checkpoint was saved, or the run stands still."""

    async def run(self, info: RunInfo) -> RunInfo:
        """One run from the wait for its model on; returns it as it ended, or as it waits. Never raises."""
        try:
            live = self.live = LiveRun(info, folder.log_path(info.id))
        except EngineError as error:
            return await self._failed(info, error.info)
        trackers, ended = Trackers(live), info
        try:
            await trackers.start()
            ended = await self._train(live)
        except EngineError as error:
            ended = await self._failed(live.info, error.info)
        except Exception as error:  # the edge of the training thread: this run fails, the next one goes on
            log.exception("a run failed")
            ended = await self._failed(live.info, outcome.unforeseen(error))
        finally:
            self.live = None
            trackers.end(ended.state)
            live.close()
        return ended

    def beside(self, train: Train) -> Work:
        """Another one that trains by `train`, for a run that goes at the same time."""
        lanes = (self._training, self._disk, self._data)
        made = Work(self._bus, self._shelf, self._book, *lanes, train)
        made.saved = self.saved
        return made

    async def change(self, live: LiveRun, made: Callable[[RunInfo], RunInfo]) -> None:
        """What `made` makes of the run as it stands: in the log, then told."""
        async with live.flushing:  # a step or a pause that comes meanwhile is told after it
            info = made(live.info)
            await self._disk.run(live.writer.run, info)
            live.info = info
            await self._book.save_and_tell(info)

    # --- from top to bottom -----------------------------------------------------------------

    async def _train(self, live: LiveRun) -> RunInfo:
        flusher = asyncio.create_task(self._flush_often(live))
        try:
            result = await self._trained(live)
        finally:
            flusher.cancel()
            await asyncio.gather(flusher, return_exceptions=True)
            await self._flush(live)  # what is still being told comes before the end
        if result is not None:
            info = outcome.finished(live, result)
            if result.parked and info.state == "stopped" and live.save_on_stop.is_set():
                kept = await self._disk.run(adopt, info.id)
                info = replace(info, adapter=info.id if kept else "")
            return info
        if live.pausing.is_set():
            return outcome.parked(live.info, again=live.leaving or live.again)
        return outcome.stopped(live.info)

    async def _trained(self, live: LiveRun) -> RunOutcome | None:
        """What the trainer made of it; None when stopped or paused before it began."""
        path = await self._disk.run(data_path, live.info.spec.data)
        bytes_now = await self._data.run(data_hash, path)  # they may have changed in the queue
        start = await self._data.run(_start, live.info, bytes_now)
        await self.change(live, lambda now: outcome.called(start.info, self._book.find(now.id)))
        model = await self._loaded(live)
        if model is None:
            return None
        live.info = replace(live.info, device=live.info.spec.device or model.device)
        live.expect(filled(replace(live.info.spec, rate=0.0), model).rate)
        place = str(folder.folder(live.info.id))
        job = RunJob(live.info.id, place, live.info.spec, model, str(path), start.checkpoint)
        trainer = (await asyncio.shield(self._shelf.backend)).trainer
        return await self._train_it(trainer, job, live)

    async def _at_once(self, trainer: Trainer, job: RunJob, live: LiveRun) -> RunOutcome | None:
        return await self._training.run(partial(trainer.train, job, live, save_on_stop=live.save_on_stop))

    async def _loaded(self, live: LiveRun) -> ModelInfo | None:
        """The run's base, loaded first where it is not; None when stopped or paused meanwhile."""
        await self._disk.run(live.phase, "waiting")
        wanted = asyncio.create_task(self._shelf.ready(live.info.spec.model))
        stopped = asyncio.create_task(live.ended_early.wait())
        await asyncio.wait({wanted, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not wanted.done():
            wanted.cancel()
            return None
        model = wanted.result()
        return None if live.ended_early.is_set() else model

    async def _failed(self, info: RunInfo, error: ErrorInfo) -> RunInfo:
        if error.code == "disk_full":
            return outcome.needs_room(info, error)
        if error.code == "out_of_memory":
            again = outcome.tried_smaller(info, await self._disk.run(_stored_spec, info.id))
            if again is not None:
                return again
        kept = await self._disk.run(folder.has_adapter, info.id)
        return outcome.failed(info, error, kept=kept)

    # --- while it trains --------------------------------------------------------------------

    async def _flush_often(self, live: LiveRun) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS):  # wait_for may pass over a cancel
                    await live.changed.wait()
            except TimeoutError:
                live.look()
                continue
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
        before, live.info = live.info.state, live.fold(piece)
        await self._book.save_and_tell(live.info)
        if isinstance(piece, Saved) or (before != live.info.state and live.info.state == "paused"):
            await self.saved()


def _stored_spec(run: str) -> TrainSpec | None:
    """As it was when the run was started."""
    try:
        return load_spec(folder.folder(run) / folder.SPEC)
    except EngineError:
        return None


class Start:
    """Where a run begins."""

    def __init__(self, info: RunInfo, checkpoint: str) -> None:
        self.info = info
        self.checkpoint = checkpoint
        """Folder; empty begins anew."""


def _start(info: RunInfo, bytes_now: str) -> Start:
    """From the newest checkpoint that verifies, or anew. Reads files.

    Raises EngineError `data_changed` where it would go on with other data than it began with.
    """
    found, skipped = checkpoints.newest(folder.folder(info.id))
    began = bool(info.started)
    if found is not None and info.data_hash and info.data_hash != bytes_now:
        raise fault(
            "data_changed",
            f"The data of {info.name} has changed since it began, so it cannot go on where it was",
            f"{info.spec.data} has other bytes now",
            "Put the data back as it was, or start a new run with it",
        )
    step = checkpoints.step_of(found) if found is not None else 0
    findings = info.findings
    for why in skipped:
        log.warning("%s: %s", info.id, why)
        findings += (RunFinding("checkpoint_skipped", step, why),)
    if began:
        info = replace(as_logged(info, until=step), step=step, resumed=(*info.resumed, step))
    info = replace(
        info,
        state="running",
        place=0,
        pause="",
        started=info.started or time.time(),
        ended=0.0,
        error=None,
        data_hash=bytes_now,
        findings=findings,
    )
    return Start(info, str(found) if found is not None else "")


async def _nothing() -> None:
    pass
