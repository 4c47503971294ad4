"""Measuring a model on held-out rows: how likely answers are, each metric, progress, and stopping it."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from engine.api import Client  # noqa: E402
from engine.backend import LoadSpec  # noqa: E402
from engine.connect import Target, connect  # noqa: E402
from engine.data.rows import Said  # noqa: E402
from engine.protocol import commands as c  # noqa: E402
from engine.protocol.errors import EngineError, ErrorInfo  # noqa: E402
from engine.protocol.events import EvaluationMoved  # noqa: E402
from engine.protocol.specs import ChatSettings, Sampling  # noqa: E402
from engine.score_works import Scored, ScoreRow, ScoreSpec  # noqa: E402
from engine.workers.backend import create  # noqa: E402
from tests.support.tiny import tiny_model  # noqa: E402

pytestmark = pytest.mark.engine


class Scores:
    """A ScoreSink that keeps what it gets, and may stop after so many rows."""

    def __init__(self, stop_after: int = 0) -> None:
        self.cancelled = threading.Event()
        self.found: dict[int, tuple[Scored, ...] | ErrorInfo] = {}
        self._stop_after = stop_after

    def scored(self, place: int, answers: tuple[Scored, ...] | ErrorInfo) -> None:
        self.found[place] = answers
        if len(self.found) == self._stop_after:
            self.cancelled.set()


def asked(text: str, *answers: str) -> ScoreRow:
    return ScoreRow((Said("user", text),), answers)


def test_scores_are_what_one_whole_forward_says(tmp_path: Path) -> None:
    info = tiny_model(tmp_path, spread=0.15)
    backend: Any = create()
    info = backend.load(LoadSpec(info, "float32"), lambda *_: None, threading.Event())
    long = "the quick brown fox jumps over the lazy dog " * 200
    rows = (
        asked("Who are you?", "a fox", "three and three is two"),
        ScoreRow((), ("hello there, how are you today?",)),
        asked("hello", long),
        asked("one and two", "three"),
    )
    sink = Scores()
    backend.scorer.score(ScoreSpec(info, rows), sink)
    loaded = backend._models[info.id]
    plain = sink.found[1]
    assert not isinstance(plain, ErrorInfo)
    ids = [*loaded.vocabulary.tokenizer(rows[1].answers[0])["input_ids"], 0]
    with torch.no_grad():
        logits = loaded.model(torch.tensor([ids])).logits[0].float()
    expected = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="sum")
    assert plain[0].nll == pytest.approx(float(expected), rel=1e-4)
    assert plain[0].tokens == len(ids) - 1
    alone = Scores()
    backend.scorer.score(ScoreSpec(info, rows[3:]), alone)
    together, apart = sink.found[3], alone.found[0]
    assert not isinstance(together, ErrorInfo)
    assert not isinstance(apart, ErrorInfo)
    assert together[0].nll == pytest.approx(apart[0].nll, rel=1e-4), "neighbours in a batch must not matter"
    two, refused = sink.found[0], sink.found[2]
    assert not isinstance(two, ErrorInfo)
    assert len(two) == 2
    assert isinstance(refused, ErrorInfo)
    assert refused.code == "prompt_too_long"
    stopped = Scores(stop_after=1)
    backend.scorer.score(ScoreSpec(info, rows * 20), stopped)
    assert len(stopped.found) < 80


@pytest.fixture
async def client(home: Path) -> AsyncIterator[Client]:
    client = await connect(Target(in_process=True))
    yield client
    await client.close()


def jsonl(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def chat(question: str, answer: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


async def test_every_metric_on_the_demo_with_its_error_and_progress(client: Client, tmp_path: Path) -> None:
    shouts = jsonl(tmp_path / "chats.jsonl", [chat("What is 1 + 2?", "3."), chat("hello", "Never said.")])
    exact = await client.request(c.StartEvaluation("demo", shouts, tokens=24))
    assert exact.metric == "exact"
    [score] = exact.scores
    assert (score.who, score.rows) == ("", 2)
    assert score.value in (0.0, 0.5)
    likely = await client.request(c.StartEvaluation("demo", shouts, metric="perplexity", job="j"))
    [score] = likely.scores
    assert score.value > 1
    assert score.error is not None
    assert math.isfinite(score.error)
    settings = ChatSettings(think=False, sampling=Sampling(temperature=0.0, max_tokens=64))
    question = (c.Row((c.RowTurn("user", "Who are you?"),), settings),)
    batch = await client.request(c.StartBatch("demo", question))
    [said] = (await client.request(c.TakeRows(batch.id))).answers
    quiz: list[dict[str, Any]] = [
        {"question": "Who are you?", "choices": ["zebra crossing", said.text], "answer": "B"}
    ] * 3
    quiz += [{"question": "broken", "choices": ["only one"], "answer": 0}]
    found = await client.request(c.StartEvaluation("demo", jsonl(tmp_path / "quiz.jsonl", quiz), limit=2))
    assert (found.metric, found.rows, found.scores[0].rows) == ("choice", 2, 2)
    assert found.scores[0].value == 1.0
    texts = jsonl(tmp_path / "texts.jsonl", [{"text": "hello there"}, {"text": "How are you?"}])
    assert (await client.request(c.StartEvaluation("demo", texts))).metric == "perplexity"
    with pytest.raises(EngineError) as caught:
        await client.request(c.StartEvaluation("demo", texts, metric="exact"))
    assert caught.value.info.code == "data_kind"
    with pytest.raises(EngineError) as caught:
        await client.request(c.StartEvaluation("demo", shouts, metric="choice"))
    assert caught.value.info.code == "data_kind"
    told = []
    async for event in client.events():
        if isinstance(event.body, EvaluationMoved):
            told.append(event.body)
            if event.body.job == "j" and event.body.done == 2:
                break
    assert told[-1] == EvaluationMoved("j", 2, 2, told[-1].who)


async def test_an_evaluation_can_be_stopped(client: Client, tmp_path: Path) -> None:
    rows = [chat(f"Tell me about number {n}.", "No.") for n in range(300)]
    path = jsonl(tmp_path / "many.jsonl", rows)
    running = asyncio.create_task(client.request(c.StartEvaluation("demo", path, tokens=200, job="long")))
    async for event in client.events():
        if isinstance(event.body, EvaluationMoved):
            break
    await client.request(c.StopEvaluation("long"))
    found = await running
    assert found.stopped
    assert found.scores == ()
    with pytest.raises(EngineError, match="ended already"):
        await client.request(c.StopEvaluation("long"))
