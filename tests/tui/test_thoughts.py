"""Thoughts: fold, peek, the whole screen, search, copy; what the reader chose stays."""

from __future__ import annotations

import msgspec

from engine.api import commands, events, specs
from tests.support.fake_engine import FakeEngine
from tests.tui.desk import Desk, open_desk
from tui.chat_view import Place, read, write
from tui.modals.thought import ThoughtScreen
from tui.widgets.turn import flush_gap

LONG = "\n".join(f"musing {n}" for n in range(60))


async def in_transcript(desk: Desk) -> None:
    await desk.press("tab")
    await desk.until(lambda: desk.app.focused is desk.bench.transcript)


async def read_whole(desk: Desk) -> ThoughtScreen:
    await desk.press("o")
    await desk.until(lambda: isinstance(desk.app.screen, ThoughtScreen))
    screen = desk.app.screen
    assert isinstance(screen, ThoughtScreen)
    await desk.until("musing")
    return screen


async def test_p_peeks_at_the_last_lines_and_space_opens_all_of_it() -> None:
    async with open_desk() as desk:
        await desk.replied("why?", "So.", LONG)
        await desk.until("▸ thought")
        await in_transcript(desk)
        await desk.press("p")
        text = await desk.until("┊ musing 59")
        assert "musing 51" not in text
        assert "its last lines" in text
        await desk.press("space")
        await desk.until("┊ musing 40")
        await desk.press("space")
        await desk.until(lambda: "┊" not in desk.text())


async def test_a_peek_that_was_chosen_stays_when_the_answer_starts() -> None:
    async with open_desk() as desk:
        await desk.say("why?")
        desk.engine.think(LONG, tokens=60, seconds=1.0)
        await desk.until("┊ musing 59")
        await desk.press("alt+up", "p", "p")
        desk.engine.answer("So.")
        await desk.until(lambda: "So." in desk.text() and "┊ musing 59" in desk.text())


async def test_an_interrupted_thought_shows_no_zeros() -> None:
    engine = FakeEngine()
    async with open_desk(engine) as desk:
        await desk.say("why?")
        reply = engine.reply()
        engine.emit(
            events.ReplyMoved(chat="c1", message=reply.id, state="thinking"),
            events.TextDelta(chat="c1", message=reply.id, part="thinking", offset=0, text="hm"),
        )
        await desk.until("┊ hm")
        engine.die()
        await desk.until("interrupted")
        text = desk.text()
        assert "thought" in text
        assert "0.0 s" not in text
        assert "0 token" not in text


async def test_time_without_tokens_is_told_alone() -> None:
    engine = FakeEngine()
    async with open_desk(engine) as desk:
        await desk.replied("why?", "So.", "hm")
        done = engine.reply()
        stats = specs.ReplyStats(thinking_s=2.0)
        engine.emit(events.ReplyDone(message=msgspec.structs.replace(done, stats=stats)))
        await desk.until("thought 2.0 s")
        assert "0 token" not in desk.text()


async def test_o_opens_it_on_the_whole_screen_and_y_copies_it() -> None:
    async with open_desk() as desk:
        await desk.replied("why?", "So.", LONG)
        await in_transcript(desk)
        await read_whole(desk)
        assert "Thought · 1.2 s · 61 tokens" in desk.text()
        await desk.press("G")
        await desk.until("musing 59")
        await desk.press("y")
        await desk.until("clipboard")
        assert desk.app.clipboard == LONG
        await desk.press("escape")
        await desk.until(lambda: desk.app.screen is desk.bench)


async def test_words_are_searched_in_a_thought_and_n_walks_the_places() -> None:
    async with open_desk() as desk:
        await desk.replied("why?", "So.", LONG)
        await in_transcript(desk)
        screen = await read_whole(desk)
        await desk.press("slash", *"MUSING", "space", *"5", "enter")
        await desk.until("1 of 11 lines")
        assert screen.words.found == [5, *range(50, 60)]
        await desk.press("n")
        await desk.until("2 of 11 lines")
        await desk.press("N", "N")
        await desk.until("11 of 11 lines")
        await desk.press("slash", *"nowhere", "enter")
        await desk.until("is not in it")
        await desk.press("slash", "escape")
        assert desk.app.screen is screen


async def test_the_whole_screen_goes_on_while_it_thinks() -> None:
    async with open_desk() as desk:
        await desk.say("why?")
        desk.engine.think("musing", tokens=6, seconds=1.0)
        await desk.until("┊ musing")
        await in_transcript(desk)
        await read_whole(desk)
        reply = desk.engine.reply()
        desk.engine.emit(
            events.TextDelta(chat="c1", message=reply.id, part="thinking", offset=6, text=" goes on")
        )
        await desk.until("musing goes on")


async def test_folds_are_remembered_by_chat() -> None:
    engine = FakeEngine()
    engine.add_chat("other", "other chat", ("hello", "there"))
    async with open_desk(engine) as desk:
        await desk.press("ctrl+n")
        await desk.until("What is 482 + 359?")
        chat = f"c{len(engine.chats) + 1}"
        await desk.say("why?")
        engine.finish("So.", LONG, chat=chat)
        await desk.until("▸ thought")
        await in_transcript(desk)
        await desk.press("space")
        await desk.until("┊ musing 45")
        desk.bench.open_chat("other")
        await desk.until("there")
        kept = [each for each in engine.asked(commands.ChangeChat) if each.view]
        assert kept[-1].chat == chat
        assert "open" in kept[-1].view
        desk.bench.open_chat(chat)
        await desk.until("┊ musing 45")


async def test_nothing_to_read_is_said() -> None:
    async with open_desk() as desk:
        await desk.replied("hi", "there")
        await in_transcript(desk)
        await desk.press("o")
        await desk.until("There is no thought here.")


def test_a_view_is_read_as_it_was_written_and_nothing_else_breaks_it() -> None:
    assert read(write({"m1": "open"}, Place("m2", 7))) == ({"m1": "open"}, Place("m2", 7))
    assert write({}, None) == ""
    for foreign in (
        "",
        "[]",
        "{",
        "null",
        '{"folds": 3, "scroll": {"message": 1}}',
        '{"folds": {"m": "odd"}}',
    ):
        assert read(foreign) == ({}, None)


def test_a_reply_is_written_more_rarely_where_it_takes_every_core() -> None:
    from tui.state import EngineState

    state = EngineState()
    calm = flush_gap(state)
    state.monitor = specs.MonitorSample(engine_cpu=2.0, cores=2)
    assert flush_gap(state) >= 0.1
    state.monitor = specs.MonitorSample(engine_cpu=2.0, cores=16)
    assert flush_gap(state) == calm
    assert calm >= 1 / 20
