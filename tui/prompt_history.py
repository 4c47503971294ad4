"""The prompts of all chats, as the engine has them; read when they are first asked for."""

from __future__ import annotations

import asyncio

from engine.api import EngineError, EngineLost, commands
from tui.link import PAGE, Link
from tui.state import State

CHATS = 30
"""Chats whose prompts are read, the newest."""
PATIENCE = 0.6
"""Seconds that the first key waits for them; what comes later is there for the next."""


class PromptHistory:
    """Prompts of the chats read here and of the newest others."""

    def __init__(self, state: State, link: Link) -> None:
        self._state = state
        self._link = link
        self._elsewhere: dict[str, tuple[float, str]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def prompts(self) -> list[str]:
        """What was asked before, the newest last, each once."""
        if self._reading is None and self._link.open:
            self._reading = asyncio.create_task(self._read())
        if self._reading is not None and not self._reading.done():
            await asyncio.wait({self._reading}, timeout=PATIENCE)
        known = dict(self._elsewhere)
        for turn in self._state.engine.turns.values():
            if turn.role == "user":
                known[turn.id] = (turn.created, turn.text)
        newest_first = [text for _, text in sorted(known.values(), key=lambda each: each[0], reverse=True)]
        return list(dict.fromkeys(newest_first))[::-1]

    async def _read(self) -> None:
        """The newest messages of chats that were not opened here."""
        for chat in self._state.engine.recent()[:CHATS]:
            if chat.id in self._state.engine.pages:
                continue
            try:
                page = await self._link.request(commands.ReadChat(chat=chat.id, limit=PAGE))
            except EngineLost:
                self._reading = None  # the next time tries again
                return
            except EngineError:
                continue
            for message in page.messages:
                if message.role == "user":
                    self._elsewhere[message.id] = (message.created, message.text)
