"""Measures a base and adapters on a file of held-out rows, beside the chat."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from engine.batches import Batches
from engine.bus import Bus
from engine.chatbook import new_id
from engine.data.choices import ChoiceRow, choice_rows, has_choices
from engine.data.load import rows_for
from engine.data.place import data_path
from engine.data.read import unreadable
from engine.data.rows import Row, Said, TextRow
from engine.lanes import Lane
from engine.protocol import batch as b
from engine.protocol.command import Done
from engine.protocol.errors import EngineError, ErrorInfo, fault
from engine.protocol.evaluate import Evaluation, Metric, Score, StartEvaluation, StopEvaluation
from engine.protocol.events import EvaluationMoved
from engine.protocol.runs import AdapterInfo
from engine.protocol.specs import ChatSettings, ModelInfo, Role, Sampling, WeightedAdapter
from engine.protocol.training import TrainSpec
from engine.runs.adapters import Adapters
from engine.score_works import Scored, ScoreRow, ScoreSpec
from engine.scoring import likeliest, perplexity, same, share
from engine.shelf import Shelf

R = TypeVar("R", Row, TextRow)
TOLD_SECONDS = 0.2
"""Between two events on how far it is."""


class _Test(NamedTuple):
    """What is asked of everybody."""

    metric: Metric
    rows: Sequence[ChoiceRow] | Sequence[Row] | Sequence[TextRow]
    left_out: int


class _Who(NamedTuple):
    """One of those who are measured; no adapter is the base alone."""

    id: str
    name: str
    adapter: AdapterInfo | None


class _Progress:
    """Of one evaluation. It is the ScoreSink of each of its parts."""

    def __init__(self, bus: Bus, job: str, total: int) -> None:
        self.cancelled = threading.Event()
        self.who = ""
        self._bus = bus
        self._job = job
        self._total = total
        self._done = 0
        self._told = 0.0
        self._loop = asyncio.get_running_loop()
        self.found: dict[int, tuple[Scored, ...]] = {}
        """By place, of the one who is measured now."""

    def scored(self, place: int, answers: tuple[Scored, ...] | ErrorInfo) -> None:
        """Called from the scoring thread."""
        if not isinstance(answers, ErrorInfo):
            self.found[place] = answers
        self._loop.call_soon_threadsafe(self.moved, 1)

    def moved(self, rows: int) -> None:
        """So many rows more."""
        self._done += rows
        now = time.monotonic()
        if now - self._told >= TOLD_SECONDS or self._done == self._total:
            self._told = now
            self._bus.publish(EvaluationMoved(self._job, self._done, self._total, self.who))


class Evaluating:
    """Answers the commands; one evaluation at a time. Used from the loop's thread."""

    def __init__(self, bus: Bus, shelf: Shelf, adapters: Adapters, batches: Batches) -> None:
        self._bus = bus
        self._shelf = shelf
        self._adapters = adapters
        self._batches = batches
        self._lane: Lane | None = None
        self._turn = asyncio.Lock()
        self._under_way: dict[str, threading.Event] = {}
        """Set to stop the evaluation of this name."""

    @property
    def busy(self) -> bool:
        """Whether an evaluation is under way or waits."""
        return bool(self._under_way)

    def close(self) -> None:
        """Stop what is under way."""
        for cancelled in self._under_way.values():
            cancelled.set()
        if self._lane is not None:
            self._lane.close()

    async def stop(self, command: StopEvaluation) -> Done:
        """Raises EngineError `evaluation_ended`."""
        cancelled = self._under_way.get(command.job)
        if cancelled is None:
            raise fault("evaluation_ended", "This evaluation has ended already")
        cancelled.set()
        return Done()

    async def start(self, command: StartEvaluation) -> Evaluation:
        """Measure all. Raises EngineError: what is wrong with the data, the model or an adapter."""
        job = command.job or new_id()
        if job in self._under_way:
            raise fault("evaluation_runs", "An evaluation of this name is under way already")
        stopping = self._under_way[job] = threading.Event()
        try:
            path = await asyncio.to_thread(data_path, command.data)
            test = await asyncio.to_thread(_read, path, command)
            async with self._turn:
                return await self._measured(command, job, test, stopping)
        finally:
            stopping.set()  # the client may have left while the lane was at it
            self._under_way.pop(job, None)

    async def _measured(
        self, command: StartEvaluation, job: str, test: _Test, stopping: threading.Event
    ) -> Evaluation:
        model = await self._shelf.ready(command.model, evict=command.evict)
        whole = [_Who("", model.name, None)]
        for ref in command.adapters:
            adapter = await self._adapters.resolve(ref, model)
            whole.append(_Who(adapter.id, adapter.name, adapter))
        progress = _Progress(self._bus, job, len(test.rows) * len(whole))
        progress.cancelled = stopping
        scores: list[Score] = []
        for who in whole:
            if stopping.is_set():
                break
            progress.who = who.name
            score = await self._one(command, model, test, who, progress)
            if not stopping.is_set():  # half of the rows would not compare with the others' all
                scores.append(score)
        counted = max((score.rows for score in scores), default=len(test.rows))
        return Evaluation(
            job,
            model.id,
            command.data,
            test.metric,
            tuple(scores),
            len(test.rows),
            test.left_out + len(test.rows) - counted,
            stopping.is_set(),
        )

    async def _one(
        self, command: StartEvaluation, model: ModelInfo, test: _Test, who: _Who, progress: _Progress
    ) -> Score:
        began = time.monotonic()
        measure = self._exact if test.metric == "exact" else self._likelihood
        score = await measure(command, model, test, who, progress)
        return Score(who.id, who.name, *score[:3], time.monotonic() - began, score[3])

    # --- greedy answers ---------------------------------------------------------------------

    async def _exact(
        self, command: StartEvaluation, model: ModelInfo, test: _Test, who: _Who, progress: _Progress
    ) -> tuple[int, float | None, float | None, int]:
        rows = [row for row in test.rows if isinstance(row, Row)]
        right: list[bool] = []
        tokens = 0
        for start in range(0, len(rows), b.ROWS):
            asked = rows[start : start + b.ROWS]
            for answer in await self._answers(command, model, asked, who, progress):
                if answer.error is None:
                    right.append(same(answer.text, asked[answer.place].messages[-1].content))
                    tokens += answer.stats.tokens
        return len(right), *share(right), tokens

    async def _answers(
        self, command: StartEvaluation, model: ModelInfo, rows: Sequence[Row], who: _Who, progress: _Progress
    ) -> list[b.RowAnswer]:
        adapters = (WeightedAdapter(who.id),) if who.adapter is not None else ()
        wanted = tuple(_question(row, command.tokens) for row in rows)
        batch = b.StartBatch(model.id, wanted, adapters)
        return await self._batches.answered(batch, progress.cancelled, progress.moved)

    # --- how likely given answers are -------------------------------------------------------

    async def _likelihood(
        self, command: StartEvaluation, model: ModelInfo, test: _Test, who: _Who, progress: _Progress
    ) -> tuple[int, float | None, float | None, int]:
        if self._lane is None:
            self._lane = Lane("scoring")
        backend = await asyncio.shield(self._shelf.backend)
        progress.found = {}
        adapters = ((who.adapter, 1.0),) if who.adapter is not None else ()
        spec = ScoreSpec(model, tuple(_to_score(row) for row in test.rows), adapters)
        with self._shelf.alive.use(model.id):
            await self._lane.run(backend.scorer.score, spec, progress)
        found = progress.found
        tokens = sum(answer.tokens for answers in found.values() for answer in answers)
        if test.metric == "perplexity":
            return len(found), *perplexity([answers[0] for answers in found.values()]), tokens
        right = [
            likeliest(found[place]) == row.right
            for place, row in enumerate(test.rows)
            if isinstance(row, ChoiceRow) and place in found
        ]
        return len(right), *share(right), tokens


def _read(path: Path, command: StartEvaluation) -> _Test:
    """The rows that the metric wants. Raises EngineError."""
    try:
        metric = command.metric or ("choice" if has_choices(path) else "")
        if metric == "choice":
            return _Test(metric, *choice_rows(path, command.limit))
    except OSError as error:
        raise unreadable(path, error) from error
    spec = TrainSpec("", str(path), objective="chat", eval_fraction=0.0, limit=command.limit)
    try:
        return _Test(metric or "exact", _of_kind(rows_for(spec, path), Row), 0)
    except EngineError as error:
        if error.info.code != "data_kind" or metric == "exact":
            raise
    texts = TrainSpec("", str(path), objective="text", eval_fraction=0.0, limit=command.limit)
    return _Test("perplexity", _of_kind(rows_for(texts, path), TextRow), 0)


def _of_kind(rows: Sequence[object], kind: type[R]) -> list[R]:
    return [row for row in rows if isinstance(row, kind)]


def _question(row: Row, tokens: int) -> b.Row:
    """Everything before the last answer, greedily and without thinking."""
    before = row.messages[:-1]
    system = before[0].content if before and before[0].role == "system" else ""
    turns = before[1:] if system else before
    return b.Row(
        tuple(b.RowTurn(_role(said), said.content, said.thinking) for said in turns),
        ChatSettings(system=system, think=False, sampling=Sampling(temperature=0.0, max_tokens=tokens)),
    )


def _to_score(row: ChoiceRow | Row | TextRow) -> ScoreRow:
    if isinstance(row, ChoiceRow):
        return ScoreRow(row.messages, row.choices)
    if isinstance(row, TextRow):
        return ScoreRow((), (row.text,))
    return ScoreRow(row.messages[:-1], (row.messages[-1].content,))


def _role(said: Said) -> Role:
    roles: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
    return roles.get(said.role, "user")
