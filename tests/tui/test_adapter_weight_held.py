"""A key held down on an adapter's weight."""

from __future__ import annotations

import pytest

from engine.api import events
from tests.support.fake_engine import FakeEngine
from tests.support.fake_runs import adapter, run_info
from tests.tui.desk import open_desk


async def test_each_step_of_a_held_key_counts_before_the_engine_has_answered() -> None:
    async with open_desk(FakeEngine()) as desk:
        desk.engine.emit(events.AdaptersChanged(adapters=(adapter(run_info()),)))
        await desk.until("○ pirate-r16")
        await desk.replied("hi", "Hello")
        await desk.press("f8")
        await desk.until("demo + pirate-r16")
        for _ in range(6):
            desk.bench.weigh_by(-0.1)
        await desk.until("demo + pirate-r16 ×0.4")
        assert desk.bench.state.settings().adapters[0].weight == pytest.approx(0.4)
