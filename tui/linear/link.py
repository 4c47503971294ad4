"""The linear chat's end of the engine: requests, and events for whoever listens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from msgspec.structs import replace

from engine.api import Client, EngineError, EngineLost, ErrorInfo, commands, events, specs

CLOSED = ErrorInfo("engine_lost", "The engine closed the link", retryable=True)
News = asyncio.Queue[events.Body | None]
"""Events as they come; None says that the link is lost."""


class Link:
    """One client at a time; a new one by `open` after the old one was lost."""

    def __init__(self, dial: Callable[[], Awaitable[Client]], on_lost: Callable[[ErrorInfo], None]) -> None:
        self._dial = dial
        self._on_lost = on_lost
        self._client: Client | None = None
        self._pump: asyncio.Task[None] | None = None
        self._listening: list[News] = []
        self.lost: ErrorInfo | None = None
        """Why there is no link; None while there is one."""
        self.models: dict[str, specs.ModelInfo] = {}
        self.chats: dict[str, specs.ChatInfo] = {}
        self.memory: specs.MonitorSample | None = None

    @property
    def client(self) -> Client:
        """The client. Raises EngineLost where there is none."""
        if self._client is None:
            raise EngineLost(self.lost or CLOSED)
        return self._client

    async def open(self) -> None:
        """Attach, starting an engine where none runs. Raises QwillError."""
        self._client = await self._dial()
        snapshot = self._client.welcome.snapshot
        self.models = {model.id: model for model in snapshot.models}
        self.chats = {chat.id: chat for chat in snapshot.chats}
        self.memory = snapshot.monitor
        self.lost = None
        self._pump = asyncio.create_task(self._follow(self._client))

    async def close(self) -> None:
        """Leave; an engine of its own goes on."""
        if self._pump is not None:
            self._pump.cancel()
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def request(self, command: Any) -> Any:
        """Ask the engine. Raises EngineError when it refuses, EngineLost when there is none to ask."""
        return await self.client.request(command)

    @contextmanager
    def listen(self) -> Iterator[News]:
        """Every event from now on."""
        news: News = asyncio.Queue()
        self._listening.append(news)
        if self.lost is not None:
            news.put_nowait(None)
        try:
            yield news
        finally:
            self._listening.remove(news)

    async def _follow(self, client: Client) -> None:
        why = CLOSED
        try:
            async for event in client.events():
                self._take(event.body)
        except (EngineLost, EngineError) as error:
            why = error.info
        self._client, self.lost = None, why
        for news in self._listening:
            news.put_nowait(None)
        if not self._listening:
            self._on_lost(why)

    def _take(self, body: events.Body) -> None:
        match body:
            case events.ModelChanged():
                self.models[body.model.id] = body.model
            case events.ModelLoading() if body.model in self.models:
                model = self.models[body.model]
                self.models[body.model] = replace(model, state="loading", progress=body.progress)
            case events.ChatChanged():
                self.chats[body.chat.id] = body.chat
            case events.Sampled():
                self.memory = body.sample
        for news in self._listening:
            news.put_nowait(body)


async def stop(link: Link, reply: str) -> None:
    """Stop a reply; one that ended meanwhile is fine too, and so is a lost link."""
    try:
        await link.request(commands.StopReply(reply))
    except (EngineError, EngineLost):
        return
