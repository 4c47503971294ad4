"""The workbench over a fake engine, and what a person would see of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from textual._context import visible_screen_stack
from textual.pilot import Pilot

from tests.support.fake_engine import FakeEngine
from tui.app import QwillApp
from tui.screens.chat import Workbench
from tui.widgets.turn import TurnView

WIDE, NARROW, TINY = (120, 40), (80, 24), (40, 12)


@dataclass
class Desk:
    """An open workbench in a test's hands."""

    app: QwillApp
    engine: FakeEngine
    pilot: Pilot[None]

    @property
    def bench(self) -> Workbench:
        return self.app.workbench

    def text(self) -> str:
        """The screen's lines, as painted."""
        visible_screen_stack.set(self.app._background_screens)  # what shows behind a dialog
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)

    async def until(self, condition: Callable[[], object] | str, seconds: float = 20.0) -> str:
        """Wait for a condition, or for words on the screen; fails with the screen as it is."""
        if isinstance(condition, str):
            words = condition

            def condition() -> bool:
                return words in self.text()

        deadline = time.monotonic() + seconds
        while True:
            began = time.monotonic()
            if condition():
                return self.text()
            assert time.monotonic() < deadline, self.text()
            spent = time.monotonic() - began
            await asyncio.sleep(max(0.01, 3 * spent))  # looking must not take the workbench's own time

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def say(self, text: str) -> None:
        """Type a message, send it, and wait until it stands in the transcript."""
        self.bench.composer.put(text)
        await self.press("enter")
        await self.until(lambda: self.bench.transcript.query(TurnView) and text in self.text())

    async def say_command(self, text: str) -> None:
        """Type a slash command into the composer and send it."""
        self.bench.go_to(self.bench.composer)
        self.bench.composer.put(text)
        await self.press("enter")

    async def replied(self, question: str, answer: str, thinking: str = "") -> None:
        """A question and its whole reply."""
        await self.say(question)
        self.engine.finish(answer, thinking)
        await self.until(lambda: self.bench.state.live() is None)
        await self.until(lambda: not self.bench.transcript.busy)


@asynccontextmanager
async def open_desk(
    engine: FakeEngine | None = None, size: tuple[int, int] = WIDE, *, model: str | None = None
) -> AsyncIterator[Desk]:
    """Open the workbench and wait until it is linked."""
    engine = engine or FakeEngine()
    app = QwillApp(engine.dial, model=model)
    async with app.run_test(size=size) as pilot:
        desk = Desk(app, engine, pilot)
        await desk.until(lambda: app.workbench.state.engine.link == "open")
        await pilot.pause()
        yield desk
        app.workers.cancel_all()  # as leaving the program does; the test's own end would not
