"""Looks into replies: what the model that wrote one thought likely at each token of it."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from engine.backend import Begun, InspectSpec, ReplySpec
from engine.chatbook import Chatbook
from engine.protocol.commands import Inspection, InspectReply
from engine.protocol.errors import fault
from engine.protocol.specs import ChatSettings, Message, ModelInfo
from engine.reply_forms import grows, not_a_reply
from engine.runs.adapters import Adapters
from engine.shelf import Shelf
from engine.store.store import Store
from engine.turns import turn_of

Prepared = Callable[[ReplySpec, Message, threading.Event], Awaitable[ReplySpec]]


class Inspecting:
    """Answers InspectReply in the model's lane, in turn with its replies. Used from the loop's thread."""

    def __init__(self, book: Chatbook, shelf: Shelf, adapters: Adapters, prepared: Prepared) -> None:
        """`prepared` puts a stored summary in place of turns that did not fit, as it stood in the prompt."""
        self._book = book
        self._shelf = shelf
        self._adapters = adapters
        self._prepared = prepared
        self._under_way: dict[str, set[threading.Event]] = {}

    async def inspect(self, command: InspectReply) -> Inspection:
        """A stretch of a reply's tokens.

        Raises EngineError `not_a_reply`, `reply_grows`, `model_not_loaded`, `cancelled`, and what a reply
        itself can fail with.
        """
        reply = await self._book.message(command.chat, command.message)
        if reply.role != "assistant" or reply.parent is None:
            raise not_a_reply("looked into")
        if reply.live:
            raise grows()
        cancelled = threading.Event()
        self._under_way.setdefault(reply.id, set()).add(cancelled)
        try:
            return await self._look(command, reply, cancelled)
        finally:
            cancelled.set()  # the client may have left while the lane was at it
            self._under_way[reply.id].discard(cancelled)
            if not self._under_way[reply.id]:
                del self._under_way[reply.id]

    def stop(self, message: str) -> bool:
        """Stop looking into a reply; False when nobody does."""
        events = self._under_way.get(message, ())
        for event in events:
            event.set()
        return bool(events)

    async def _look(self, command: InspectReply, reply: Message, cancelled: threading.Event) -> Inspection:
        model = await self._ready(reply)
        ids = await self._book.ask(reply.chat, Store.ids, reply.id)
        spec = await self._spec(reply, model, Begun(ids, reply.thinking, reply.text, ends=True), cancelled)
        desk = await self._shelf.answering.desk(model)
        wanted = InspectSpec(spec, command.start, command.limit, command.top)
        found = await desk.lane.run(desk.answerer.inspect, wanted, cancelled)
        return found if ids else replace(found, retokenised=True)

    async def _ready(self, reply: Message) -> ModelInfo:
        """The model that wrote it; for one that came from elsewhere, the one that the chat uses."""
        name = reply.model or (await self._book.chat(reply.chat)).model
        model = await self._shelf.find(name)
        if model.state != "ready":
            raise fault(
                "model_not_loaded",
                f"{model.name} is not loaded",
                "What was likely at each word is computed by the model that wrote the reply",
                "Load it (F2), then look again",
            )
        return model

    async def _spec(
        self, reply: Message, model: ModelInfo, begun: Begun, cancelled: threading.Event
    ) -> ReplySpec:
        """The reply as it was asked for, with all of it begun."""
        settings = reply.settings or ChatSettings()
        turns = tuple(map(turn_of, await self._book.sent(reply.chat, reply.parent)))
        adapter, *more = await self._adapters.resolve_all(settings, model) or (None,)
        spec = ReplySpec(model.id, reply.chat, turns, settings, adapter, begun, tuple(more))
        return await self._prepared(spec, reply, cancelled)
