"""Marks and votes over the protocol, and the datasets that they make."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.data.check import check
from engine.protocol import commands as c
from engine.protocol.errors import EngineError
from engine.protocol.events import MessageChanged
from engine.protocol.specs import Attachment, ChatSettings
from tests.support.echo_backend import SECONDS, Desk, echo_engine


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    async with echo_engine(monkeypatch) as opened:
        yield opened


async def rows(desk: Desk, shape: str) -> list[dict[str, Any]]:
    """All rows of a shape, two at a time."""
    found: list[str] = []
    while True:
        page = await desk.ask(c.ExportMarked(shape, limit=2, offset=len(found)))
        found += page.rows
        if not page.more:
            return [json.loads(row) for row in found]


async def test_a_mark_is_told_and_kept_with_the_exact_prompt(desk: Desk) -> None:
    chat = (await desk.chat(settings=ChatSettings(system="Be brief"))).id
    await desk.said(chat, "a")
    sent = await desk.ask(c.Send(chat, "b", files=(Attachment("n.txt", "one"),)))
    reply = await desk.done(sent.reply)
    marked = await desk.ask(c.MarkReply(chat, reply.id, "good"))
    assert marked.mark == (await desk.path(chat))[-1].mark == "good"
    events = desk.client.events()
    async with asyncio.timeout(SECONDS):
        while not isinstance(body := (await anext(events)).body, MessageChanged):
            pass
    assert body.message == marked
    asked = desk.backend.specs[-1].turns
    [row] = await rows(desk, "messages")
    assert row["messages"] == [
        {"role": "system", "content": "Be brief"},
        *({"role": turn.role, "content": turn.text} for turn in asked),
        {"role": "assistant", "content": reply.text},
    ]
    listed = await desk.ask(c.ListMarked())
    assert [(each.message.id, each.title, each.question) for each in listed.replies] == [(reply.id, "a", "b")]


async def test_the_prompt_of_a_mark_stays_when_the_chat_changes(desk: Desk) -> None:
    chat = (await desk.chat()).id
    _, reply = await desk.said(chat, "a")
    await desk.ask(c.MarkReply(chat, reply.id, "good"))
    before = await rows(desk, "kto")
    await desk.ask(c.ChangeChat(chat, settings=ChatSettings(system="another"), title="New"))
    assert await rows(desk, "kto") == before
    await desk.ask(c.MarkReply(chat, reply.id, ""))
    assert await rows(desk, "kto") == []
    assert (await desk.ask(c.ListMarked())).total == 0


async def test_every_shape_has_its_own_rows(desk: Desk, tmp_path: Path) -> None:
    chat = (await desk.chat()).id
    _, bad = await desk.said(chat, "a")
    good = await desk.done(await desk.ask(c.Regenerate(chat, bad.id)))
    _, wrong = await desk.said(chat, "b")
    right = (await desk.ask(c.EditMessage(chat, wrong.id, "B!"))).message
    await desk.ask(c.MarkReply(chat, bad.id, "bad"))
    await desk.ask(c.MarkReply(chat, good.id, "good"))

    messages = await rows(desk, "messages")
    assert [row["messages"][-1]["content"] for row in messages] == ["B!", good.text]
    place = tmp_path / "marked.jsonl"
    place.write_text("".join(json.dumps(row) + "\n" for row in messages))
    report = check(place)
    assert (report.rows, report.problem_count) == (2, 0)

    kto = await rows(desk, "kto")
    assert [(row["completion"][0]["content"], row["label"]) for row in kto] == [
        ("B!", True),
        (bad.text, False),
        (good.text, True),
    ]
    assert kto[1]["prompt"] == [{"role": "user", "content": "a"}]

    preference = await rows(desk, "preference")
    assert [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in preference] == [
        ("B!", wrong.text),
        (good.text, bad.text),
    ]
    assert [said["content"] for said in preference[0]["prompt"]] == ["a", good.text, "b"]
    assert right.source == wrong.id


async def test_a_vote_is_a_preference_and_a_tie_is_none(desk: Desk) -> None:
    chat = (await desk.chat()).id
    _, first = await desk.said(chat, "a")
    others = [await desk.done(await desk.ask(c.Regenerate(chat, first.id, show=False))) for _ in range(2)]
    await desk.ask(c.Vote(chat, over=(first.id, others[0].id)))
    await desk.ask(c.Vote(chat, over=(first.id, others[0].id), all_bad=True))
    assert await rows(desk, "preference") == []
    await desk.ask(c.Vote(chat, others[1].id, (first.id, others[0].id)))
    found = await rows(desk, "preference")
    assert {row["rejected"][0]["content"] for row in found} == {first.text, others[0].text}
    assert [row["chosen"][0]["content"] for row in found] == [others[1].text] * 2
    assert found[0]["prompt"] == [{"role": "user", "content": "a"}]
    assert await rows(desk, "kto") == []


async def test_a_vote_is_about_versions_of_one_reply(desk: Desk) -> None:
    chat = (await desk.chat()).id
    user, first = await desk.said(chat, "a")
    _, second = await desk.said(chat, "b")
    third = await desk.done(await desk.ask(c.Regenerate(chat, second.id)))
    for vote, code in (
        (c.Vote(chat, first.id, (second.id,)), "bad_vote"),
        (c.Vote(chat, second.id, ()), "bad_vote"),
        (c.Vote(chat, second.id, (second.id, third.id)), "bad_vote"),
        (c.Vote(chat, second.id, (third.id,), all_bad=True), "bad_vote"),
        (c.Vote(chat, user.id, (third.id,)), "bad_vote"),
        (c.Vote(chat, "absent", (third.id,)), "message_unknown"),
        (c.ExportMarked("parquet"), "shape_unknown"),
    ):
        with pytest.raises(EngineError) as caught:
            await desk.ask(vote)
        assert caught.value.info.code == code


async def test_marks_of_unsaved_chats_stay_in_them(desk: Desk) -> None:
    chat = (await desk.chat(saved=False)).id
    _, reply = await desk.said(chat, "a")
    other = await desk.done(await desk.ask(c.Regenerate(chat, reply.id)))
    assert (await desk.ask(c.MarkReply(chat, reply.id, "bad"))).mark == "bad"
    await desk.ask(c.Vote(chat, other.id, (reply.id,)))
    await desk.ask(c.EditMessage(chat, reply.id, "A!"))
    assert (await desk.ask(c.ListMarked())).total == 0
    assert await rows(desk, "preference") == await rows(desk, "messages") == []


async def test_a_page_of_long_rows_fits_on_a_line(desk: Desk) -> None:
    chat = (await desk.chat()).id
    for number in range(3):
        sent = await desk.ask(c.Send(chat, f"{number}", files=(Attachment("n", "x" * 70_000),)))
        reply = await desk.done(sent.reply)
        await desk.ask(c.MarkReply(chat, reply.id, "good"))
    first = await desk.ask(c.ExportMarked("messages"))
    assert (0 < len(first.rows) < 3, first.more) == (True, True)
    assert len(await rows(desk, "messages")) == 3
    sent = await desk.ask(c.Send(chat, "empty", files=(Attachment("n", "x" * 600_000),)))
    await desk.done(sent.reply)
    edited = (await desk.ask(c.EditMessage(chat, sent.reply.id, "too much"))).message
    assert (await desk.ask(c.ListMarked())).replies[0].message.id == edited.id
    assert len(await rows(desk, "messages")) == 3
