"""Chats with a server as the engine does, without an engine around it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.backend import Begun, LoadSpec, ReplyResult, ReplySpec, Turn
from engine.protocol.specs import ChatSettings, ModelInfo
from engine.servers import saved
from engine.servers.backend import ServerBackend
from engine.servers.endpoint import Endpoint, checked
from engine.servers.known import Known
from tests.support.sink import RecordedReply


class ServerChat:
    """A named server's first model, ready to be asked."""

    def __init__(self, known: Known, name: str = "") -> None:
        self.known = known
        self.models = known.look().result(20)
        self.backend = ServerBackend(known)
        wanted = (each for each in self.models if not name or each.id.endswith(name))
        self.model: ModelInfo = self.backend.load(LoadSpec(next(wanted)), lambda *_: None, threading.Event())

    def ask(
        self,
        text: str | tuple[Turn, ...] = "Hello",
        settings: ChatSettings = ChatSettings(),  # noqa: B008
        sink: RecordedReply | None = None,
        begun: Begun | None = None,
    ) -> ReplyResult:
        """One reply."""
        turns = (Turn("user", text),) if isinstance(text, str) else text
        spec = ReplySpec(self.model.id, "chat", turns, settings, None, begun)
        return self.backend.reply(spec, sink or RecordedReply())


@contextmanager
def known_server(url: str, **more: Any) -> Iterator[Known]:
    """The servers that are known when this one is named `box`."""
    saved.save(checked(Endpoint("box", url, saved=True, **more)))
    known = Known()
    try:
        yield known
    finally:
        known.thread.close()


@contextmanager
def server_chat(url: str, name: str = "", **more: Any) -> Iterator[ServerChat]:
    """A chat with a server at this address, named `box`."""
    with known_server(url, **more) as known:
        yield ServerChat(known, name)
