"""An engine that says what a test wants, over the real socket and protocol. Runs no model."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from engine import VERSION, paths
from engine.bus import Bus
from engine.daemon import lock_engine
from engine.protocol import commands as c
from engine.protocol.errors import EngineError
from engine.protocol.events import AnyBody
from engine.protocol.specs import ChatInfo, EngineInfo, Message, ModelInfo, Snapshot
from engine.server import Server


class Script:
    """What a scripted engine holds; `tell` publishes events to whoever is attached."""

    def __init__(
        self,
        *,
        models: Sequence[ModelInfo] = (),
        chats: Sequence[ChatInfo] = (),
        messages: Sequence[Message] = (),
        host: str = "",
    ) -> None:
        self.bus = Bus()
        self.asked: list[c.AnyCommand] = []
        """Every command that came, in order."""
        self.refusals: list[EngineError] = []
        """Raised, first to last, by the next commands that load a model."""
        self.seats = 0
        self._engine = EngineInfo("scripted", os.getpid(), VERSION, 1.0, host=host, torch="ready")
        self._models = tuple(models)
        self._chats = {chat.id: chat for chat in chats}
        self._messages = tuple(messages)

    def snapshot(self) -> Snapshot:
        live = tuple(message for message in self._messages if message.live)
        default = self._models[0].id if self._models else "demo"
        return Snapshot(self._engine, self._models, tuple(self._chats.values()), live, default)

    def seated(self) -> None:
        self.seats += 1

    async def handle(self, command: c.AnyCommand) -> msgspec.Struct:
        self.asked.append(command)
        match command:
            case c.ListModels():
                return c.ModelList(self._models)
            case c.LoadModel() if self.refusals:
                raise self.refusals.pop(0)
            case c.ShowModel() | c.LoadModel():
                return self._models[0]
            case c.ListChats():
                return c.ChatList(tuple(self._chats.values()))
            case c.ReadChat():
                found = tuple(message for message in self._messages if message.chat == command.chat)
                return c.ChatPage(self._chats[command.chat], found)
            case c.ChangeChat():
                return self._chats[command.chat]
            case c.Status():
                return self._engine
        return c.Done()

    def tell(self, *bodies: AnyBody) -> None:
        """Publish events."""
        for body in bodies:
            self.bus.publish(body)


@asynccontextmanager
async def engine_with(script: Script) -> AsyncIterator[Script]:
    """Serve the script on this home's socket, with the lock that says so."""
    with lock_engine():
        server = Server(script)
        await server.listen(paths.socket_path())
        try:
            yield script
        finally:
            await asyncio.wait_for(server.close(), 5)
