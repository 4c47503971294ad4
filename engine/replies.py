"""The queues of replies: what is sent is stored first, then answered in order, one at a time.

This machine has one queue, and so has each server: one that hangs holds up nobody else.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager

from msgspec.structs import replace

from engine.answering import queue_of
from engine.backend import Begun, ReplySpec
from engine.bus import Bus
from engine.chatbook import Chatbook, new_id
from engine.health import told
from engine.live import LiveReply
from engine.pages import newest
from engine.pictures import kept
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
    ImageRef,
    Message,
    MessageState,
    ModelInfo,
    Part,
    ReplyStats,
)
from engine.queueing import FairQueue, Visit
from engine.reply_forms import finished, not_a_reply, placeholder, refuse_blind, unfinished, unforeseen
from engine.runs.adapters import Adapters
from engine.shelf import Shelf
from engine.turns import turn_of

log = logging.getLogger(__name__)
FLUSH_SECONDS = 1 / 30
"""Between two flushes of a growing reply."""
Prepare = Callable[
    [ReplySpec, Message, threading.Event, Callable[[MessageState], None]], Awaitable[ReplySpec]
]
RETRY_SECONDS = 3.0
"""Between two tries to store a finished reply while the disk refuses."""


class Replies:
    """All replies that wait or grow. Used from the loop's thread."""

    def __init__(self, bus: Bus, book: Chatbook, shelf: Shelf, adapters: Adapters) -> None:
        self._bus = bus
        self._book = book
        self._shelf = shelf
        self._adapters = adapters
        self.prepare: Prepare | None = None
        """Shortens what a reply is generated from, where its chat wants that."""
        self._live: dict[str, LiveReply] = {}
        self._queues: dict[str, FairQueue] = {}
        self._workers: list[asyncio.Task[None]] = []
        self._answering: set[str] = set()
        """Ids of the replies that a queue's worker is at."""
        self._cancelled: set[asyncio.Task[None]] = set()
        self.sending = asyncio.Lock()
        """Held while messages join a tree: the next one's parent is the one before."""
        self._unstored: dict[str, asyncio.Task[None]] = {}

    @property
    def busy(self) -> bool:
        return bool(self._live or self._unstored)

    def speed(self) -> float:
        """Tokens a second of all replies that grow now."""
        told = (reply.message.stats for reply in self._live.values() if reply.message.state != "queued")
        return sum(stats.tokens_per_s for stats in told if stats is not None)

    def live(self) -> tuple[Message, ...]:
        """Replies waiting or growing, with their text as published."""
        return tuple(reply.message for reply in self._live.values())

    async def close(self) -> None:
        """Stop all replies and store what they have."""
        for reply in list(self._live.values()):
            self._stop(reply)
        deadline = time.monotonic() + 3.0
        while self._live and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        for worker in self._workers:
            worker.cancel()
        for task in self._unstored.values():
            task.cancel()

    # --- requests ---------------------------------------------------------------------------

    async def send(self, command: Send) -> Sent:
        """Store the user's message, then queue the reply."""
        if not (command.text.strip() or command.files or command.images):
            raise fault("empty_message", "There is nothing to send", remedy="Type a message first")
        async with self.sending:
            chat = await self._book.chat(command.chat)
            before = await self._book.sent_before(chat.id, command.id) if command.id else None
            if before is not None:
                return await self._sent_again(chat, *before)
            images = await self._shown(command, chat)
            user = Message(
                command.id or new_id(),
                chat.id,
                "user",
                text=command.text,
                parent=chat.head,
                created=time.time(),
                files=command.files,
                images=images,
            )
            reply = placeholder(chat, user.id)
            chat = await self._book.add(user, reply)
            self.enqueue(reply, evict=command.evict)
        return Sent(chat, user, reply)

    async def _sent_again(self, chat: ChatInfo, user: Message, reply: Message | None) -> Sent:
        """A message that is stored already; one whose reply never came to be is answered now."""
        if reply is None:
            reply = await self.queue(placeholder(chat, user.id))
            chat = await self._book.chat(chat.id)
        return Sent(chat, user, self._current(reply))

    async def _shown(self, command: Send, chat: ChatInfo) -> tuple[ImageRef, ...]:
        """The images of a message as they are kept. Raises EngineError `no_vision`, `image_gone`."""
        if not command.images:
            return ()
        refuse_blind(await self._shelf.find(chat.model))
        return tuple(
            [await asyncio.to_thread(kept.shared.checked, each, saved=chat.saved) for each in command.images]
        )

    async def regenerate(self, command: Regenerate) -> Message:
        """Another version beside an old reply, maybe by another model or other settings."""
        model = (await self._shelf.find(command.model)).id if command.model else ""
        async with self.sending:
            old = await self._book.message(command.chat, command.message)
            if old.role != "assistant" or old.parent is None:
                raise not_a_reply("generated again")
            chat = await self._book.chat(command.chat)
            reply = placeholder(chat, old.parent, model=model, settings=command.settings)
            return await self.queue(reply, shown=command.show)

    async def queue(self, reply: Message, *, begun: Begun | None = None, shown: bool = True) -> Message:
        """Store an empty reply and let it wait for its turn; returns it with its place among the versions."""
        await self._book.add(reply, shown=shown)
        reply = await self._book.message(reply.chat, reply.id)
        self.enqueue(reply, begun=begun)
        return reply

    def enqueue(self, message: Message, *, evict: bool = False, begun: Begun | None = None) -> None:
        """Let a stored, empty reply wait for its turn."""
        reply = LiveReply(message, evict=evict, begun=begun)
        self._live[message.id] = reply
        self._queue_for(message.model).put(reply)

    def stop(self, message: str) -> None:
        """End a reply and keep its text; one that waits ends at once."""
        self._stop(self._find(message))

    async def halt(self, messages: Collection[str]) -> None:
        """Stop those of these messages that are live, and wait until they are stored."""
        live = [reply for reply in self._live.values() if reply.message.id in messages]
        for reply in live:
            self._stop(reply)
        for reply in live:
            await reply.ended.wait()

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
                fitting = newest([self._current(message) for message in found])
                return ChatPage(chat, fitting, more or len(fitting) < len(found))

    def _current(self, message: Message) -> Message:
        live = self._live.get(message.id)
        return live.message if live is not None else message

    def _find(self, message: str) -> LiveReply:
        reply = self._live.get(message)
        if reply is None:
            raise fault("reply_ended", "This reply has ended already")
        return reply

    def _stop(self, reply: LiveReply) -> None:
        """Whoever answers it notices; one that nobody answers yet ends here."""
        waits = reply.message.id not in self._answering and not reply.cancelled.is_set()
        reply.stop()
        if waits:
            task = asyncio.create_task(self._end(reply, unfinished(reply, "cancelled")))
            self._cancelled.add(task)
            task.add_done_callback(self._cancelled.discard)

    # --- one after another ------------------------------------------------------------------

    @asynccontextmanager
    async def turn(self, model: str) -> AsyncIterator[None]:
        """Wait for a turn between the replies, and hold the queue of this model until it is left."""
        visit = Visit()
        self._queue_for(model).put(visit)
        try:
            await visit.begun.wait()
            yield
        finally:
            visit.over.set()

    def _queue_for(self, model: str) -> FairQueue:
        known = self._shelf.known(model)
        name = queue_of(known) if known is not None else ""
        if name not in self._queues:
            self._queues[name] = FairQueue()
            self._workers.append(asyncio.create_task(self._work(self._queues[name])))
        return self._queues[name]

    async def _work(self, queue: FairQueue) -> None:
        while True:
            reply = await queue.get()
            if isinstance(reply, Visit):
                await reply.hold()
                continue
            if reply.cancelled.is_set():  # it ended where it was stopped
                continue
            self._answering.add(reply.message.id)
            try:
                await self._after_earlier(reply)
                with self._shelf.alive.use(reply.message.model):
                    await self._answer(reply)
            except EngineError as error:
                await self._end(reply, unfinished(reply, "failed", error.info))
            except Exception as error:  # the edge of a worker: this reply fails, the next one runs
                log.exception("a reply failed")
                await self._end(reply, unfinished(reply, "failed", unforeseen(error)))
            finally:
                self._answering.discard(reply.message.id)

    async def _after_earlier(self, reply: LiveReply) -> None:
        """Wait for the replies on its path, which another queue may still be at."""
        message = reply.message
        if len(self._live) < 2 or message.parent is None:
            return
        path, _ = await self._book.path(message.chat, message.parent)
        for earlier in path:
            live = self._live.get(earlier.id)
            if live is not None:
                await _either(live.ended, reply.stopped)

    async def _answer(self, reply: LiveReply) -> None:
        model = await self._loaded(reply)
        if model is None:
            await self._end(reply, unfinished(reply, "cancelled"))
            return
        message = reply.message
        turns = tuple(map(turn_of, await self._book.sent(message.chat, message.parent)))
        if turns and turns[-1].images:
            refuse_blind(model)
        settings = message.settings or ChatSettings()
        adapter, *more = await self._adapters.resolve_all(settings, model) or (None,)
        spec = ReplySpec(model.id, message.chat, turns, settings, adapter, reply.begun, tuple(more))
        if self.prepare is not None:
            spec = await self.prepare(spec, message, reply.cancelled, lambda state: self._move(reply, state))
        desk = await self._shelf.answering.desk(model)
        flusher = asyncio.create_task(self._flush_often(reply))
        try:
            result = await desk.lane.run(desk.answerer.reply, spec, reply)
        finally:
            flusher.cancel()
            await asyncio.gather(flusher, return_exceptions=True)
            await self._flush(reply)
        await self._end(reply, finished(reply, told(result, model)), result.ids)
        await self._shelf.replied(model.id, result.peak, result.stats.context_used)

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

    async def _end(self, reply: LiveReply, message: Message, ids: tuple[int, ...] = ()) -> None:
        """Store a reply as it ended, and tell everyone. A full disk keeps it in memory and tries again."""
        try:
            message = await self._book.finish(message, ids)
            self._bus.publish(ChatChanged(await self._book.chat(message.chat)))
        except EngineError as error:
            self._complain(reply, error.info)
            self._unstored[message.id] = asyncio.create_task(self._store_later(message, ids))
        finally:
            self._live.pop(message.id, None)
            reply.ended.set()
        self._bus.publish(ReplyDone(message))

    async def _store_later(self, message: Message, ids: tuple[int, ...]) -> None:
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                await self._book.finish(message, ids)
            except EngineError:
                continue
            self._unstored.pop(message.id, None)
            return


async def _either(*events: asyncio.Event) -> None:
    """Wait until one of these is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
