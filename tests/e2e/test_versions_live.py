"""Versions, marks and tags from the keys down to the store, with the demo model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.api import Target, connect, data_dir
from tests.tui.desk import WIDE, Desk
from tui.app import QwillApp
from tui.link import Wire


@asynccontextmanager
async def live_desk() -> AsyncIterator[Desk]:
    """The workbench over an engine in this process, after one answered question."""

    async def dial() -> Wire:
        return await connect(Target(in_process=True), workbench=True)

    app = QwillApp(dial)
    async with app.run_test(size=WIDE) as pilot:
        desk = Desk(app, None, pilot)  # type: ignore[arg-type]
        await desk.until(lambda: app.workbench.state.engine.link == "open", 60)
        desk.bench.composer.put("What is Qwill?")
        await desk.press("enter")
        await replied(desk, 2)
        yield desk
        await desk.pilot.pause()
        app.workers.cancel_all()


async def replied(desk: Desk, turns: int) -> None:
    """Wait until the path has so many turns and nothing is written any more."""

    def done() -> bool:
        path = desk.bench.state.engine.path(desk.bench.state.chat)
        return len(path) == turns and not any(turn.live for turn in path)

    await desk.until(done, 120)
    await desk.until(lambda: not desk.bench.transcript.busy)


def reply(desk: Desk) -> tuple[str, str, int, int]:
    """Thinking, text, version and versions of the last turn shown."""
    turn = desk.bench.state.engine.path(desk.bench.state.chat)[-1]
    return turn.thinking, turn.text, turn.version, turn.versions


async def test_a_reply_is_made_again_from_its_tag_word_for_word() -> None:
    async with live_desk() as desk:
        thinking, text, _, _ = reply(desk)
        await desk.press("alt+up", "t")
        await desk.until("About this reply")
        await desk.press("enter")
        await desk.until(lambda: reply(desk)[2:] == (2, 2))
        await replied(desk, 2)
        assert reply(desk) == (thinking, text, 2, 2)


async def test_versions_edits_deletions_and_marks_are_kept_by_the_engine() -> None:
    async with live_desk() as desk:
        first = reply(desk)[1]
        await desk.press("alt+up", "e")
        await desk.until("Editing the reply")
        desk.bench.composer.put("A workbench for models.")
        await desk.press("enter")
        await desk.until(lambda: reply(desk)[1:] == ("A workbench for models.", 2, 2))
        await desk.press("left")
        await desk.until(lambda: reply(desk)[1] == first)
        await desk.press("minus")
        await desk.until("− bad")
        await desk.press("d")
        await desk.until(lambda: reply(desk)[1:] == ("A workbench for models.", 1, 1))
        await desk.press("z")
        await desk.until(lambda: reply(desk)[1:3] == (first, 1))
        await desk.press("k", "f")
        await desk.until("A new chat with everything up to there")
        assert len(desk.bench.state.engine.chats) == 2
        desk.bench.composer.put("/marked")
        await desk.press("enter")
        await desk.until("2 replies")
        await desk.press("x", "enter")
        await desk.until("Wrote 1 row")
        (path,) = (data_dir() / "exports").iterdir()
        (row,) = [json.loads(each) for each in path.read_text().splitlines()]
        assert row["messages"][-1]["content"] == "A workbench for models."
        assert row["messages"][0]["content"] == "What is Qwill?"


async def test_an_edited_question_and_a_continued_reply_stand_beside_the_old_ones() -> None:
    async with live_desk() as desk:
        first = reply(desk)[1]
        desk.bench.composer.put("/edit")
        await desk.press("enter")
        await desk.until("Editing your message")
        desk.bench.composer.put("What is 2 + 3?")
        await desk.press("enter")
        await desk.until("What is 2 + 3?")
        await replied(desk, 2)
        second = reply(desk)[1]
        assert "5" in second
        await desk.press("alt+up", "k", "left")
        await desk.until(lambda: reply(desk)[1] == first)
        selected = desk.bench.transcript.selected
        assert selected is not None
        assert (selected.text, selected.version, selected.versions) == ("What is Qwill?", 1, 2)
        await desk.press("j", "c")
        await desk.until(lambda: reply(desk)[2:] == (2, 2))
        await replied(desk, 2)
        assert reply(desk)[1].startswith(first)
        assert desk.bench.state.engine.path(desk.bench.state.chat)[-1].origin == "continued"
