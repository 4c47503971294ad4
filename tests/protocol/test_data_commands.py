"""Datasets over the link: pasted, saved, checked, made of marked replies, fetched from the hub or not."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine import reading
from engine.data import check as checking
from engine.data.read import read_rows
from engine.data.rows import PairRow, Row
from engine.hub_data import fetched, preview
from engine.protocol import commands as c
from engine.protocol.errors import EngineError
from engine.protocol.events import DataMoved
from engine.protocol.training import TrainSpec
from tests.support.echo_backend import Desk, echo_engine
from tests.support.fake_dataset import dataset_hub


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    async with echo_engine(monkeypatch) as opened:
        yield opened


async def test_pasted_text_becomes_a_dataset_that_checks_out(desk: Desk) -> None:
    found = await desk.ask(c.PasteRows("one?\tyes\ntwo?\tno"))
    saved = await desk.ask(c.SaveRows(found.pairs, name="faq"))
    assert (await desk.ask(c.ReadRows("faq"))).pairs == found.pairs
    assert (await desk.ask(c.AppendRows(found.pairs[:1], name="faq"))).rows == 3
    report = await desk.ask(c.CheckData(saved.path, objective="chat"))
    assert (report.rows, report.repeated, report.form) == (3, 1, "messages")


async def test_marked_replies_are_a_dataset_by_what_is_learnt(desk: Desk) -> None:
    chat = (await desk.chat()).id
    for text in ("a", "b"):
        sent = await desk.ask(c.Send(chat, text))
        reply = await desk.done(sent.reply)
        await desk.ask(c.MarkReply(chat, reply.id, "good"))
    again = await desk.ask(c.Regenerate(chat, reply.id))
    worse = await desk.done(again)
    await desk.ask(c.MarkReply(chat, worse.id, "bad"))
    report = await desk.ask(c.CheckData("marked:"))
    assert report.rows == 2
    assert report.path == (await desk.ask(c.CheckData("marked:"))).path
    assert all(isinstance(row, Row) for row in read_rows(Path(report.path)))
    votes = await desk.ask(c.CheckData("marked:", objective="kto"))
    assert (votes.rows, votes.good) == (3, 2)
    with pytest.raises(EngineError) as caught:
        await desk.ask(c.CheckData("marked:", objective="text"))
    assert caught.value.info.code == "data_kind"


async def test_nothing_marked_is_said_in_one_sentence(desk: Desk) -> None:
    for ask in (c.CheckData("marked:"), c.StartRun(TrainSpec("demo", "marked:"))):
        with pytest.raises(EngineError) as caught:
            await desk.ask(ask)
        assert caught.value.info.code == "data_empty"


@pytest.mark.skipif(os.environ.get("QWILL_FAULTS") != "1", reason="the hub's library tries for half a minute")
async def test_a_hub_that_cannot_be_reached_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(EngineError) as caught:
            await fetched("hub:some/thing", 5)
    assert caught.value.info.code == "hub_offline"


async def test_rows_are_fetched_from_a_hub_and_told_as_they_come(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the library itself, in its own process, from a hub on loopback; the first rows and no more."""
    pytest.importorskip("datasets")
    told: list[tuple[int, int]] = []
    rows = [{"prompt": f"q{place}", "answer": f"a{place}"} for place in range(80)]
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with dataset_hub("some/thing", b"".join(json.dumps(row).encode() + b"\n" for row in rows)) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        path = await fetched("hub:some/thing", 60, lambda done, total: told.append((done, total)))
    assert [json.loads(line) for line in path.read_text().splitlines()] == rows[:60]
    assert all(isinstance(row, Row) for row in read_rows(path))
    assert told == [(50, 60)]


async def test_a_check_that_takes_its_time_is_told_of_and_can_be_stopped(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "many.jsonl"
    file.write_text("".join(json.dumps({"prompt": "a", "answer": str(place)}) + "\n" for place in range(50)))
    monkeypatch.setattr(reading, "PATIENCE", 0.0)
    monkeypatch.setattr(reading, "BETWEEN", 0.0)
    reached, go = threading.Event(), threading.Event()
    measure = checking.Checking._measure

    def slow(self: checking.Checking, row: object) -> None:
        measure(self, row)  # type: ignore[arg-type]
        if self.rows == 20:
            reached.set()
            go.wait(10)

    monkeypatch.setattr(checking.Checking, "_measure", slow)
    asked = asyncio.ensure_future(desk.ask(c.CheckData(str(file), job="one")))
    await asyncio.to_thread(reached.wait, 10)
    async with asyncio.timeout(10):
        async for event in desk.client.events():
            if isinstance(event.body, DataMoved) and event.body.job == "one":
                break
    assert 0 < event.body.done < 20
    await desk.ask(c.StopData("one"))
    with pytest.raises(EngineError) as caught:
        await asked
    assert caught.value.info.code == "cancelled"
    go.set()
    monkeypatch.undo()
    assert (await desk.ask(c.CheckData(str(file), job="two"))).rows == 50  # the thread is free again
    assert await desk.ask(c.StopData("one")) == c.Done()  # there is nothing to stop any more


async def test_rows_that_were_fetched_need_the_hub_no_more() -> None:
    from engine.data import own

    path = own.folder() / "hub-some--thing-5.jsonl"
    path.write_text("".join(json.dumps({"prompt": "a", "chosen": "b", "rejected": "c"}) + "\n" for _ in "12"))
    shown = await preview("hub:some/thing", 5)
    assert (shown.count, shown.columns) == (2, ("prompt", "chosen", "rejected"))
    assert all(isinstance(row, PairRow) for row in read_rows(await fetched("hub:some/thing", 5)))


@pytest.mark.parametrize("name", ["hub:", "hub:../x", "hub:a/b/c", "hub:a b/c"])
async def test_what_is_no_name_of_the_hub_is_refused(name: str) -> None:
    with pytest.raises(EngineError) as caught:
        await fetched(name)
    assert caught.value.info.code == "hub_name"
