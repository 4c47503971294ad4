"""The engine or the link goes away: the screen says so, keeps everything, and one key mends it."""

from __future__ import annotations

import asyncio

from engine.api import EngineDead, EngineError, ErrorInfo, commands
from tests.support.fake_engine import FakeEngine
from tests.tui.desk import Desk, open_desk
from tui.app import QwillApp


async def test_a_killed_engine_is_told_and_every_token_stays() -> None:
    async with open_desk() as desk:
        await desk.say("Tell me.")
        desk.engine.think("so far thought", tokens=4, seconds=0.4)
        await desk.until("┊ so far thought")
        desk.engine.die()
        text = await desk.until("The engine was killed (signal 9).", 2.0)
        assert "Everything shown here is kept. F9 starts it again." in text
        assert "┊ so far thought" in text
        assert "interrupted – r asks again" in text
        assert "F9 reach the engine again" in text


async def test_f9_dials_again_and_the_open_chat_is_read_again() -> None:
    async with open_desk() as desk:
        await desk.say("Tell me.")
        desk.engine.answer("Once upon a time")
        await desk.until("Once upon a time")
        stored = desk.engine.finish("Once upon", finish="interrupted")
        desk.engine._queue.get_nowait()  # the store knows it, the screen never heard
        desk.engine.die()
        await desk.until("F9")
        await desk.press("f9")
        await desk.until(lambda: desk.engine.dials == 2)
        text = await desk.until(lambda: desk.bench.state.engine.link == "open")
        await desk.until(lambda: desk.engine.asked(commands.ReadChat))
        text = await desk.until("interrupted – r asks again")
        assert "Once upon a time" in text
        assert stored.text == "Once upon"
        assert "The engine was killed" not in desk.text()


async def test_a_broken_link_mends_itself_and_interrupts_nothing() -> None:
    async with open_desk() as desk:
        await desk.say("Tell me.")
        desk.engine.answer("Once")
        await desk.until("Once")
        desk.engine.lose()
        await desk.until(lambda: desk.engine.dials == 2 and desk.bench.state.engine.link == "open")
        assert "interrupted" not in desk.text()


async def test_a_link_that_breaks_again_and_again_names_itself_and_waits_for_a_key() -> None:
    async with open_desk() as desk:
        for dials in range(2, 5):
            desk.engine.lose()
            await desk.until(lambda n=dials: desk.engine.dials == n)
            await desk.until(lambda: desk.bench.state.engine.link == "open")
        desk.engine.lose()
        text = await desk.until("F9 connects again.")
        assert "The link to the engine broke" in text


async def test_what_is_typed_and_sent_meanwhile_waits_and_is_sent_later() -> None:
    async with open_desk() as desk:
        desk.engine.die()
        await desk.until("F9")
        await desk.press(*"later", "enter")
        await desk.until("waits for the engine")
        await desk.press("f9")
        await desk.until(lambda: desk.engine.asked(commands.Send))
        assert desk.engine.asked(commands.Send)[0].text == "later"
        await desk.until(lambda: "waits for the engine" not in desk.text())


async def test_before_the_first_link_a_message_waits_too() -> None:
    engine = FakeEngine()
    there = asyncio.Event()

    async def dial() -> FakeEngine:
        await there.wait()
        return engine

    app = QwillApp(dial)
    async with app.run_test(size=(120, 40)) as pilot:
        desk = Desk(app, engine, pilot)
        await desk.until("starting the engine")
        await desk.press(*"hi", "enter")
        await desk.until("waits for the engine")
        there.set()
        await desk.until(lambda: engine.asked(commands.Send))
        await desk.until("You")


async def test_an_engine_that_does_not_start_or_refuses_is_told_in_its_words() -> None:
    errors = [
        EngineDead(ErrorInfo("engine_did_not_start", "The engine did not start", "no space left")),
        EngineError(ErrorInfo("other_version", "The engine is older than this screen", remedy="Update it")),
    ]
    engine = FakeEngine()

    async def dial() -> FakeEngine:
        if errors:
            raise errors.pop(0)
        return engine

    app = QwillApp(dial)
    async with app.run_test(size=(120, 40)) as pilot:
        desk = Desk(app, engine, pilot)
        await desk.until("The engine did not start.")
        await desk.press("f9")
        await desk.until("The engine is older than this screen. Update it. F9 tries again.")
        await desk.press("f9")
        await desk.until("thinking on")


async def test_leaving_closes_the_link() -> None:
    async with open_desk() as desk:
        await desk.press("ctrl+q")
        assert desk.app._exit
    assert desk.engine.closed
