"""The screen dies in the middle of a run; the run goes on, and the next screen shows the whole curve."""

from __future__ import annotations

import asyncio

import pytest

from engine.api import Target, commands, connect, lock_holder, runs
from tests.e2e.test_first_adapter import MINUTES, dots, step
from tests.support.pty_app import PtyApp

pytestmark = [pytest.mark.e2e, pytest.mark.engine, pytest.mark.timeout(400)]


async def newest_run(until_step: int = 0) -> commands.RunPage:
    """The newest run with its log, once it has come that far or has ended."""
    client = await connect(Target(), start=False)
    try:
        async with asyncio.timeout(MINUTES):
            while True:
                found = (await client.request(commands.ListRuns())).runs[0]
                if found.step >= until_step or found.state in runs.ENDED_STATES:
                    return await client.request(commands.ReadRun(found.id))
                await asyncio.sleep(0.1)
    finally:
        await client.close()


def ticks(lines: list[str]) -> list[int]:
    """Columns of the ticks below the chart, where a phase begins."""
    row = next((line for line in lines if "╵" in line), "")
    return [at for at, cell in enumerate(row) if cell == "╵"]


async def test_the_next_screen_shows_the_run_from_its_first_step() -> None:
    with PtyApp(columns=120, lines=40) as app:
        await app.until("thinking on")
        app.press("f4")
        await app.until("fits", 60)
        app.press("ctrl+s")
        await app.until(lambda lines: step(lines) >= 5, MINUTES, what="step 5")
        engine = lock_holder()
        app.kill()
        await app.exited()

    page = await newest_run(until_step=15)
    assert [point.step for point in page.points if point.loss is not None][:15] == list(range(1, 16))
    with PtyApp(columns=120, lines=40) as app:
        assert lock_holder() == engine
        app.press("f3")
        await app.until("── pirate-r16", 30)
        lines = await app.until(
            lambda lines: dots(lines) > 20 and "memory" in "\n".join(lines) and len(ticks(lines)) > 3,
            MINUTES,
            what="the first step, the next ones and an evaluation below the chart",
        )
        begun = min(at for line in lines for at, cell in enumerate(line) if 0x2800 < ord(cell) < 0x2900)
        assert begun <= ticks(lines)[3]  # load, the base's evaluation, the first step, then the next ones
        app.press("e")
        await app.until("events.jsonl", 10)
