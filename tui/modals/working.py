"""Something that takes a while: how far it is, and Esc to stop it. What is quick shows nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from engine.api import EngineError, EngineLost, ErrorInfo
from tui.glyphs import bar
from tui.modals.dialog import Dialog
from tui.text import clean

T = TypeVar("T")
Tell = Callable[[float, str], None]
"""How far it is, 0 to 1 (below 0: nobody knows), and what it is at, in words."""
PATIENCE = 0.3
"""Seconds for which nothing is shown."""
WIDTH = 40
"""Cells of the bar."""


@dataclass(frozen=True)
class Ended(Generic[T]):
    """How it ended: with a result, with an error, or stopped by the person."""

    result: T | None = None
    error: ErrorInfo | None = None


class Working(Dialog[Ended[T]]):
    """Runs the work as long as it is open."""

    DEFAULT_CSS = """
    Working.-quick {
        background: $background 0%;
    }
    Working.-quick > .panel {
        display: none;
    }
    """

    def __init__(self, title: str, work: Callable[[Tell], Awaitable[T]]) -> None:
        super().__init__(classes="-quick")
        self._title = title
        self._work = work

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_title = self._title
            panel.border_subtitle = "Esc stops"
            yield Static("", classes="words", markup=False)

    def on_mount(self) -> None:
        self.set_timer(PATIENCE, lambda: self.remove_class("-quick"))
        self.run_worker(self._run())

    def action_accept(self) -> None:
        """Enter waits."""

    async def _run(self) -> None:
        try:
            ended: Ended[T] = Ended(result=await self._work(self._tell))
        except (EngineError, EngineLost) as error:
            ended = Ended(error=error.info)
        except asyncio.CancelledError:
            return  # Esc has closed the dialog
        self.dismiss(ended)

    def _tell(self, done: float, words: str) -> None:
        drawn = f"{bar(min(1.0, done), WIDTH)}  " if done >= 0 else ""
        self.query_one(Static).update(drawn + clean(words))
