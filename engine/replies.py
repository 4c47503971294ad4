"""The queue of replies: what is sent is stored first, then answered in order, one at a time."""

from __future__ import annotations

import asyncio
import logging
import time

from msgspec.structs import replace

from engine.backend import ReplyResult, ReplySpec, Turn
from engine.bus import Bus
from engine.chatbook import Chatbook, new_id
from engine.lanes import Lane
from engine.live import LiveReply
from engine.protocol.commands import ChatPage, ReadChat, Regenerate, Send, Sent
from engine.protocol.errors import EngineError, ErrorInfo, fault
from engine.protocol.events import (
    ChatChanged,
    Notice,
    ReplyDone,
    ReplyMoved,
    ReplyProgress,
    TextDelta,
)
from engine.protocol.specs import (
    ChatInfo,
    ChatSettings,
    Finish,
    Message,
    MessageState,
    ModelInfo,
    Part,
    ReplyStats,
)
from engine.runs.adapters import Adapters
from engine.shelf import Shelf

log = logging.getLogger(__name__)
FLUSH_SECONDS = 1 / 30
"""Between two flushes of a growing reply."""
HISTORY = 100_000
"""Messages that a prompt is built from at most; the context window cuts long before."""
RETRY_SECONDS = 3.0
"""Between two tries to store a finished reply while the disk refuses."""


class Replies:
    """All replies that wait or grow. Used from the loop's thread."""

    def __init__(self, bus: Bus, book: Chatbook, shelf: Shelf, adapters: Adapters, lane: Lane) -> None:
        self._bus = bus
        self._book = book
        self._shelf = shelf
        self._adapters = adapters
        self._lane = lane
        self._live: dict[str, LiveReply] = {}
        self._queue: asyncio.Queue[LiveReply] = asyncio.Queue()
        self._sending = asyncio.Lock()
        self._unstored: dict[str, asyncio.Task[None]] = {}
        self._worker = asyncio.create_task(self._work())

    @property
    def busy(self) -> bool:
        return bool(self._live or self._unstored)

    def live(self) -> tuple[Message, ...]:
        """Replies waiting or growing, with their text as published."""
        return tuple(reply.message for reply in self._live.values())

    async def close(self) -> None:
        """Stop all replies and store what they have."""
        for reply in list(self._live.values()):
            reply.stop()
        deadline = time.monotonic() + 3.0
        while self._live and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        self._worker.cancel()
        for task in self._unstored.values():
            task.cancel()

    # --- requests ---------------------------------------------------------------------------

    async def send(self, command: Send) -> Sent:
        """Store the user's message, then queue the reply."""
        if not command.text.strip():
            raise fault("empty_message", "There is nothing to send", remedy="Type a message first")
        async with self._sending:  # the next message's parent is this one's reply
            chat = await self._book.chat(command.chat)
            user = Message(
                new_id(), chat.id, "user", text=command.text, parent=chat.head, created=time.time()
            )
            reply = self._placeholder(chat, user.id)
            chat = await self._book.add(user, reply)
            self._enqueue(reply, evict=command.evict)
        return Sent(chat, user, reply)

    async def regenerate(self, command: Regenerate) -> Message:
        """Another version beside an old reply."""
        async with self._sending:
            old = await self._book.message(command.chat, command.message)
            if old.role != "assistant" or old.parent is None:
                raise fault("not_a_reply", "Only a reply can be generated again")
            reply = self._placeholder(await self._book.chat(command.chat), old.parent)
            await self._book.add(reply)
            reply = await self._book.message(command.chat, reply.id)
            self._enqueue(reply, evict=False)
        return reply

    def stop(self, message: str) -> None:
        self._find(message).stop()

    def answer_now(self, message: str) -> None:
        self._find(message).answer_now.set()

    async def read(self, command: ReadChat) -> ChatPage:
        """A page of a chat's path; live replies as published, so that the events after it fit."""
        while True:
            chat = await self._book.chat(command.chat)
            if chat.head is None:
                return ChatPage(chat, ())
            found, more = await self._book.path(chat.id, chat.head, command.before, command.limit)
            if all(not message.live or message.id in self._live for message in found):
                return ChatPage(chat, tuple(self._current(message) for message in found), more)

    def _current(self, message: Message) -> Message:
        live = self._live.get(message.id)
        return live.message if live is not None else message

    def _find(self, message: str) -> LiveReply:
        reply = self._live.get(message)
        if reply is None:
            raise fault("reply_ended", "This reply has ended already")
        return reply

    def _placeholder(self, chat: ChatInfo, parent: str) -> Message:
        return Message(
            new_id(),
            chat.id,
            "assistant",
            parent=parent,
            state="queued",
            created=time.time(),
            model=chat.model,
            adapter=chat.settings.adapter,
            settings=chat.settings,
        )

    def _enqueue(self, message: Message, *, evict: bool) -> None:
        reply = LiveReply(message, evict=evict)
        self._live[message.id] = reply
        self._queue.put_nowait(reply)

    # --- one after another ------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            reply = await self._queue.get()
            try:
                await self._answer(reply)
            except EngineError as error:
                await self._end(reply, _unfinished(reply, "failed", error.info))
            except Exception as error:  # the edge of a worker: this reply fails, the next one runs
                log.exception("a reply failed")
                await self._end(reply, _unfinished(reply, "failed", _unforeseen(error)))

    async def _answer(self, reply: LiveReply) -> None:
        model = await self._loaded(reply)
        if model is None:
            await self._end(reply, _unfinished(reply, "cancelled"))
            return
        message = reply.message
        turns = await self._turns(message)
        settings = message.settings or ChatSettings()
        adapter = await self._adapters.resolve(settings.adapter, model) if settings.adapter else None
        spec = ReplySpec(model.id, message.chat, turns, settings, adapter)
        backend = await self._shelf.backend
        flusher = asyncio.create_task(self._flush_often(reply))
        try:
            result = await self._lane.run(backend.reply, spec, reply)
        finally:
            flusher.cancel()
            await asyncio.gather(flusher, return_exceptions=True)
            await self._flush(reply)
        await self._end(reply, _finished(reply, result))

    async def _loaded(self, reply: LiveReply) -> ModelInfo | None:
        """The reply's model, loaded first where it is not; None when stopped meanwhile."""
        if reply.cancelled.is_set():
            return None
        if (await self._shelf.find(reply.message.model)).state != "ready":
            self._move(reply, "loading")
        wanted = asyncio.create_task(self._shelf.ready(reply.message.model, evict=reply.evict))
        stopped = asyncio.create_task(reply.stopped.wait())
        await asyncio.wait({wanted, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not wanted.done():
            wanted.cancel()
            return None
        return wanted.result()

    async def _turns(self, reply: Message) -> tuple[Turn, ...]:
        assert reply.parent is not None, "a reply answers a message"
        path, _ = await self._book.path(reply.chat, reply.parent, None, HISTORY)
        return tuple(Turn(m.role, m.text, m.thinking) for m in path if m.text or m.role != "assistant")

    # --- growing ----------------------------------------------------------------------------

    async def _flush_often(self, reply: LiveReply) -> None:
        while True:
            await reply.changed.wait()
            # Shielded: a flush that has begun is finished, or its text would be stored but not published.
            await asyncio.shield(asyncio.ensure_future(self._flush(reply)))
            await asyncio.sleep(FLUSH_SECONDS)

    async def _flush(self, reply: LiveReply) -> None:
        """Commit what came, then publish it."""
        async with reply.flushing:
            pieces, stats = reply.take()
            for piece in pieces:
                if isinstance(piece, tuple):
                    await self._grow(reply, *piece)
                else:
                    self._move(reply, piece)
            if stats is not None:
                self._progress(reply, stats)

    async def _grow(self, reply: LiveReply, part: Part, text: str) -> None:
        message = reply.message
        try:
            await self._book.append(message.chat, message.id, part, text)
        except EngineError as error:
            self._complain(reply, error.info)
        offset = reply.grow(part, text)
        self._bus.publish(TextDelta(message.chat, message.id, part, offset, text))

    def _move(self, reply: LiveReply, state: MessageState) -> None:
        reply.message = replace(reply.message, state=state)
        self._bus.publish(ReplyMoved(reply.message.chat, reply.message.id, state))

    def _progress(self, reply: LiveReply, stats: ReplyStats) -> None:
        reply.message = replace(reply.message, stats=stats)
        self._bus.publish(ReplyProgress(reply.message.chat, reply.message.id, stats))

    def _complain(self, reply: LiveReply, info: ErrorInfo) -> None:
        if not reply.complained:  # once a reply, not once a token
            reply.complained = True
            self._bus.publish(Notice("error", info))

    # --- the end ----------------------------------------------------------------------------

    async def _end(self, reply: LiveReply, message: Message) -> None:
        """Store a reply as it ended, and tell everyone. A full disk keeps it in memory and tries again."""
        try:
            message = await self._book.finish(message)
            self._bus.publish(ChatChanged(await self._book.chat(message.chat)))
        except EngineError as error:
            self._complain(reply, error.info)
            self._unstored[message.id] = asyncio.create_task(self._store_later(message))
        del self._live[message.id]
        self._bus.publish(ReplyDone(message))

    async def _store_later(self, message: Message) -> None:
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                await self._book.finish(message)
            except EngineError:
                continue
            self._unstored.pop(message.id, None)
            return


def _finished(reply: LiveReply, result: ReplyResult) -> Message:
    return replace(
        reply.message,
        text=result.text,
        thinking=result.thinking,
        finish=result.finish,
        stats=result.stats,
        settings=result.settings,
        state="done",
    )


def _unfinished(reply: LiveReply, finish: Finish, error: ErrorInfo | None = None) -> Message:
    return replace(reply.message, state="done", finish=finish, error=error)


def _unforeseen(error: Exception) -> ErrorInfo:
    return ErrorInfo(
        "reply_failed",
        "The reply failed in the engine",
        f"{type(error).__name__}: {error}",
        "Ask again; the engine's log has the details",
        retryable=True,
    )
