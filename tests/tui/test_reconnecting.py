"""The line to another machine breaks: the screen says so, and comes back by itself or by a key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from engine.api import EngineDead, EngineLost, ErrorInfo, commands
from tests.support.fake_engine import FakeEngine
from tests.tui.desk import NARROW, WIDE, Desk
from tui import link
from tui.app import QwillApp

AWAY = EngineLost(ErrorInfo("ssh_unreachable", "box cannot be reached", retryable=True))
DENIED = EngineLost(ErrorInfo("ssh_denied", "box did not let us in"))
CHANGED = EngineLost(
    ErrorInfo("ssh_host_changed", "box answers with another host key than before", remedy="Ask")
)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "DELAYS", (0.01, 0.02))


@asynccontextmanager
async def far_desk(
    engine: FakeEngine, troubles: list[EngineLost], size: tuple[int, int] = WIDE
) -> AsyncIterator[Desk]:
    """A workbench over `box`; dialling raises the troubles first, once it has been open."""

    async def dial() -> FakeEngine:
        if engine.dials and troubles:
            raise troubles.pop(0)
        return await engine.dial()

    app = QwillApp(dial, host="box")
    async with app.run_test(size=size) as pilot:
        desk = Desk(app, engine, pilot)
        await desk.until(lambda: app.workbench.state.engine.link == "open")
        yield desk
        app.workers.cancel_all()


async def test_the_header_names_the_host() -> None:
    for size in (WIDE, NARROW):
        async with far_desk(FakeEngine(), [], size) as desk:
            assert "box (ssh)" in (await desk.until("box (ssh)")).splitlines()[0]
            assert "this machine" not in desk.text()


async def test_a_broken_line_is_taken_up_by_itself_and_draft_and_reply_stay() -> None:
    engine = FakeEngine()
    async with far_desk(engine, [AWAY] * 3) as desk:
        await desk.say("Tell me.")
        engine.answer("Once upon a time")
        await desk.until("Once upon a time")
        await desk.press(*"draft")
        engine.messages["c1"][-1] = engine.finish("Once upon a time, there was")
        engine._queue.get_nowait()  # the engine wrote on while nobody heard it
        engine.lose()
        await desk.until(lambda: engine.dials == 2)
        await desk.until("there was")
        assert desk.bench.composer.text == "draft"
        assert desk.bench.state.engine.link == "open"
        assert "Reconnecting" not in desk.text()


async def test_while_it_is_away_the_screen_says_so_and_f9_tries_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "DELAYS", (0.01, 600.0))
    engine = FakeEngine()
    async with far_desk(engine, [AWAY]) as desk:
        engine.lose()
        text = await desk.until("Reconnecting to box")
        assert "Everything shown here is kept." in text
        await desk.until("box cannot be reached")
        assert "box is out of reach" in desk.text().splitlines()[0]
        await desk.press("f9")
        await desk.until(lambda: engine.dials == 2)
        await desk.until("box (ssh)")


async def test_where_a_person_is_needed_it_waits_for_one() -> None:
    engine = FakeEngine()
    async with far_desk(engine, [DENIED]) as desk:
        engine.lose()
        await desk.until("F9 steps aside")
        await asyncio.sleep(0.1)  # longer than any delay: nothing is tried
        assert engine.dials == 1
        assert desk.bench.link.person_needed
        await desk.press("f9")
        await desk.until(lambda: engine.dials == 2)
        await desk.until(lambda: not desk.bench.link.person_needed)


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (CHANGED, "another host key"),
        (EngineDead(ErrorInfo("engine_dead", "The engine was killed")), "F9 starts it"),
    ],
)
async def test_what_another_try_would_not_change_waits_for_f9(trouble: EngineLost, words: str) -> None:
    engine = FakeEngine()
    async with far_desk(engine, [trouble]) as desk:
        engine.lose()
        await desk.until(words)
        await asyncio.sleep(0.1)  # longer than any delay: nothing is tried
        assert engine.dials == 1


async def test_what_is_sent_meanwhile_goes_out_when_the_line_is_back() -> None:
    engine, there = FakeEngine(), asyncio.Event()

    def slowly(dial: Callable[[], Awaitable[FakeEngine]]) -> Callable[[], Awaitable[FakeEngine]]:
        async def waits() -> FakeEngine:
            await there.wait()
            return await dial()

        return waits

    async with far_desk(engine, []) as desk:
        desk.bench.link._dial = slowly(desk.bench.link._dial)  # type: ignore[assignment]
        engine.lose()
        await desk.until("Reconnecting to box")
        await desk.press(*"later", "enter")
        await desk.until("waits for the engine")
        there.set()
        await desk.until(lambda: engine.asked(commands.Send))
        assert engine.asked(commands.Send)[0].text == "later"
