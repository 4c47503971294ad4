"""A backend without torch behind the real engine: each reply says what it was asked, in tokens of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from engine import host as host_module
from engine.backend import LoadSpec, ReplyResult, ReplySink, ReplySpec
from engine.client import LOST, Client, greet
from engine.host import Host
from engine.protocol import commands as c
from engine.protocol.errors import EngineLost
from engine.protocol.specs import Message, ModelInfo, ReplyStats
from engine.protocol.wire import Welcome
from engine.transports import queue_pair

SECONDS = 10


class EchoBackend:
    """Says `echo of QUESTION #n`, n counting replies.

    `hold` in a question makes it wait for `go` or a stop, `empty` say nothing.
    """

    def __init__(self) -> None:
        self.specs: list[ReplySpec] = []
        """What was asked, in order."""
        self.go = threading.Event()

    def load(
        self, spec: LoadSpec, progress: Callable[[float, str], None], cancelled: threading.Event
    ) -> ModelInfo:
        return replace(spec.model, state="ready", memory=1, load_dtype="float32")

    def reply(self, spec: ReplySpec, sink: ReplySink) -> ReplyResult:
        self.specs.append(spec)
        question = spec.turns[-1].text
        begun = "" if spec.begun is None else spec.begun.text
        said = begun if "empty" in question else f"{begun}echo of {question} #{len(self.specs)}"
        sink.moved("answering")
        sink.text("answer", said)
        if "hold" in question:
            while not self.go.is_set() and not sink.cancelled.is_set():
                self.go.wait(0.01)
        finish = "cancelled" if sink.cancelled.is_set() else "stop"
        sampling = replace(spec.settings.sampling, seed=len(self.specs))
        ids = () if spec.begun is None else spec.begun.ids
        return ReplyResult(
            said,
            "",
            finish,
            ReplyStats(tokens=3),
            replace(spec.settings, sampling=sampling),
            (*ids, 10, 11, 12),
        )


class Desk:
    """A client of a real engine whose model is the echo."""

    def __init__(self, client: Client, backend: EchoBackend, host: Host) -> None:
        self.client = client
        self.backend = backend
        self.host = host
        self.ask = client.request

    async def chat(self, **fields: object) -> c.ChatInfo:
        return await self.ask(c.NewChat(**fields))

    async def said(self, chat: str, text: str) -> tuple[Message, Message]:
        """A question and its finished reply."""
        sent = await self.ask(c.Send(chat, text))
        return sent.user, await self.done(sent.reply)

    async def done(self, reply: Message) -> Message:
        """The reply as it ended."""
        return await self.until(reply, lambda message: not message.live)

    async def until(self, reply: Message, ready: Callable[[Message], bool]) -> Message:
        """The reply as soon as it is so; found by ReadTree, shown or not."""
        async with asyncio.timeout(SECONDS):
            while True:
                page = await self.ask(c.ReadTree(reply.chat, after=reply.parent, limit=1000))
                found = next(message for message in page.messages if message.id == reply.id)
                if ready(found):
                    return found
                await asyncio.sleep(0.01)

    async def path(self, chat: str) -> list[Message]:
        """The messages shown."""
        return list((await self.ask(c.ReadChat(chat))).messages)

    async def texts(self, chat: str) -> list[str]:
        return [message.text for message in await self.path(chat)]


@asynccontextmanager
async def echo_engine(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """Start the engine in this process and attach to it."""
    backend = EchoBackend()
    monkeypatch.setattr(host_module, "_create_backend", lambda: (backend, {}))
    host = Host()
    await host.start()
    ours, theirs = queue_pair()
    host.server.attach(theirs)
    client = Client(ours, await greet(ours, workbench=False), autopsy=_lost)
    try:
        yield Desk(client, backend, host)
    finally:
        backend.go.set()
        await client.close()
        await host.stop()


async def _lost(_: Welcome) -> EngineLost:
    return EngineLost(LOST)
