"""Many prompts at once: together where the model can, else one after another between the chat's replies."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

from msgspec.structs import replace

from engine.answering import Answering
from engine.backend import Backend, ReplyResult, ReplySpec, Turn
from engine.chatbook import new_id
from engine.lanes import Lane
from engine.pages import fitting
from engine.prompting import SilentSink
from engine.protocol.batch import ROWS, BatchInfo, Row, RowAnswer, RowAnswers, StartBatch, StopBatch, TakeRows
from engine.protocol.errors import EngineError, ErrorInfo, fault
from engine.protocol.runs import AdapterInfo
from engine.protocol.specs import ChatSettings, ModelInfo, WeightedAdapter
from engine.replies import Replies
from engine.reply_forms import unforeseen
from engine.runs.adapters import Adapters
from engine.serving.asking import Noted
from engine.shelf import Shelf

CACHE = "(batch)"
"""Key of the cache of rows that are answered one after another."""


class Batch:
    """One batch: the worker puts answers in, its client takes them. It is a BatchSink."""

    def __init__(self, model: ModelInfo, count: int, noted: Noted) -> None:
        self.cancelled = threading.Event()
        self.task: asyncio.Task[None]
        self.id = new_id()
        self._count = count
        self._model = model
        self._noted = noted
        self._ready: list[RowAnswer] = []
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def done(self, place: int, result: ReplyResult | ErrorInfo) -> None:
        """Called from the batch thread."""
        self._loop.call_soon_threadsafe(self.add, place, result)

    def add(self, place: int, result: ReplyResult | ErrorInfo) -> None:
        """One row is done."""
        if isinstance(result, ErrorInfo):
            self._ready.append(RowAnswer(place, finish="failed", error=result))
        else:
            stats = replace(result.stats, memory=result.memory)
            self._noted(self._model, stats)
            seed = result.settings.sampling.seed or 0
            self._ready.append(
                RowAnswer(place, result.text, result.thinking, result.finish, result.stats, seed)
            )
        self._changed.set()

    def ended(self, task: asyncio.Task[None]) -> None:
        """Maybe early."""
        if not task.cancelled():
            task.exception()  # looked at, though nobody may wait for it any more
        self._changed.set()

    async def take(self, after: int) -> RowAnswers:
        """At least one answer behind the first `after`, unless the batch has ended. Raises what ended it."""
        while len(self._ready) <= after and not self.task.done():
            self._changed.clear()
            await self._changed.wait()
        if len(self._ready) <= after and not self.cancelled.is_set():
            self.task.result()
        answers = fitting(self._ready[after:])
        return RowAnswers(answers, self._count - after - len(answers))


class Batches:
    """All batches. Used from the loop's thread."""

    def __init__(self, shelf: Shelf, replies: Replies, adapters: Adapters, noted: Noted) -> None:
        self._shelf = shelf
        self._replies = replies
        self._adapters = adapters
        self._noted = noted
        self._lane: Lane | None = None
        self._batches: dict[str, Batch] = {}

    @property
    def busy(self) -> bool:
        """Whether a batch is under way."""
        return any(not batch.task.done() for batch in self._batches.values())

    async def start(self, command: StartBatch) -> BatchInfo:
        """Raises EngineError `batch_size`, and all that fails a load or an adapter."""
        if not 0 < len(command.rows) <= ROWS:
            raise fault("batch_size", f"A batch has between 1 and {ROWS} rows")
        model = await self._shelf.ready(command.model, evict=command.evict)
        wanted = ChatSettings().with_adapters(*command.adapters)
        adapters = await self._adapters.resolve_all(wanted, model)
        specs = tuple(_spec(row, model, command.adapters, tuple(adapters)) for row in command.rows)
        backend, why = await self._together(self._shelf.answering, model)
        batch = Batch(model, len(specs), self._noted)
        work = self._apart(model, specs, batch) if backend is None else self._beside(backend, specs, batch)
        batch.task = asyncio.create_task(work)
        batch.task.add_done_callback(batch.ended)
        # What a client that died never took goes with the next batch.
        self._batches = {name: old for name, old in self._batches.items() if not old.task.done()}
        self._batches[batch.id] = batch
        return BatchInfo(batch.id, model.id, backend is not None, why)

    async def take(self, command: TakeRows) -> RowAnswers:
        """Raises EngineError `batch_unknown`, and what ended the batch."""
        batch = self._find(command.batch)
        try:
            answers = await batch.take(command.after)
        except asyncio.CancelledError:  # the client left
            batch.cancelled.set()
            raise
        if not answers.left:
            self._batches.pop(batch.id, None)
        return answers

    async def stop(self, command: StopBatch) -> RowAnswers:
        """Raises EngineError `batch_unknown`."""
        batch = self._find(command.batch)
        batch.cancelled.set()
        await asyncio.wait({batch.task})
        self._batches.pop(batch.id, None)
        return await batch.take(command.after)

    async def answered(
        self, command: StartBatch, stopping: threading.Event, moved: Callable[[int], None]
    ) -> list[RowAnswer]:
        """All answers of a batch, or those up to a stop. `moved` hears how many came each time.

        Raises as `start` does, and what ended the batch.
        """
        batch = await self.start(command)
        watch = asyncio.create_task(self._stopped_by(batch.id, stopping))
        found: list[RowAnswer] = []
        try:
            while len(found) < len(command.rows) and not stopping.is_set():
                taken = await self.take(TakeRows(batch.id, len(found)))
                found += taken.answers
                moved(len(taken.answers))
                if not taken.answers:
                    break
        finally:
            watch.cancel()
            if stopping.is_set():  # the watch may not have looked yet
                await self._end(batch.id)
        return found

    async def close(self) -> None:
        """End all batches."""
        tasks = {batch.task for batch in self._batches.values()}
        for batch in self._batches.values():
            batch.cancelled.set()
        if tasks:
            await asyncio.wait(tasks, timeout=3.0)
        if self._lane is not None:
            self._lane.close()

    # --- inside -----------------------------------------------------------------------------

    async def _stopped_by(self, batch: str, stopping: threading.Event) -> None:
        while not stopping.is_set():
            await asyncio.sleep(0.1)
        await self._end(batch)

    async def _end(self, batch: str) -> None:
        """Stop it, unless it has ended already."""
        with contextlib.suppress(EngineError):
            await self.stop(StopBatch(batch))

    def _find(self, batch: str) -> Batch:
        if batch not in self._batches:
            raise fault("batch_unknown", "This batch has ended already")
        return self._batches[batch]

    async def _together(self, answering: Answering, model: ModelInfo) -> tuple[Backend | None, str]:
        """Who answers rows together; or None, and why there is nobody."""
        if model.runs_on != "torch":
            return None, f"{model.name} does not run in Qwill's own loop, so rows are answered one by one"
        backend = await asyncio.shield(self._shelf.backend)
        if self._lane is None:
            self._lane = Lane("batch")
        why = backend.batcher.takes(model.id)
        return (None, why) if why else (backend, "")

    async def _beside(self, backend: Backend, specs: tuple[ReplySpec, ...], batch: Batch) -> None:
        assert self._lane is not None
        with self._shelf.alive.use(specs[0].model):
            await self._lane.run(backend.batcher.run, specs, batch)

    async def _apart(self, model: ModelInfo, specs: tuple[ReplySpec, ...], batch: Batch) -> None:
        desk = await self._shelf.answering.desk(model)
        with self._shelf.alive.use(model.id):
            for place, spec in enumerate(specs):
                async with self._replies.turn(model.id):
                    if batch.cancelled.is_set():
                        break
                    try:
                        await self._shelf.ready(model.id)
                        sink = SilentSink(batch.cancelled)
                        result = await desk.lane.run(desk.answerer.reply, spec, sink)
                    except EngineError as error:
                        batch.add(place, error.info)
                    except Exception as error:  # the edge of a worker: this row fails, the next one runs
                        batch.add(place, unforeseen(error))
                    else:
                        if result.finish != "cancelled":
                            batch.add(place, result)
            await desk.lane.run(desk.answerer.forget, CACHE)


def _spec(
    row: Row,
    model: ModelInfo,
    weighted: tuple[WeightedAdapter, ...],
    adapters: tuple[AdapterInfo, ...],
) -> ReplySpec:
    turns = tuple(Turn(turn.role, turn.text, turn.thinking) for turn in row.turns)
    if not turns or turns[-1].role != "user":
        raise fault("row_ends", "The last message of a row must be the user's")
    settings = row.settings.with_adapters(*weighted)
    first, *more = adapters or (None,)
    return ReplySpec(model.id, CACHE, turns, settings, first, more_adapters=tuple(filter(None, more)))
