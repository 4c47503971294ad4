"""A client look-alike for Pilot tests: events that the test enqueues, requests that it can look at."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from engine.api import EngineDead, EngineError, EngineLost, ErrorInfo, commands, events, fault, specs

DEMO = specs.ModelInfo(
    id="demo",
    name="demo",
    source="demo",
    family="qwen3",
    bytes_on_disk=8_300_000,
    memory=8_300_000,
    context=2048,
    thinking="switchable",
    state="ready",
)
REAL = specs.ModelInfo(
    id="Qwen/Qwen3-1.7B",
    name="Qwen3-1.7B",
    source="hub",
    family="qwen3",
    bytes_on_disk=3_650_000_000,
    context=32768,
    thinking="switchable",
)
BASE = specs.ModelInfo(
    id="/models/base",
    name="Qwen3-0.6B-Base",
    family="qwen3",
    bytes_on_disk=1_200_000_000,
    context=32768,
    chat=False,
    why="Qwen3-0.6B-Base is a base model without a chat template.",
)
SAMPLE = specs.MonitorSample(
    at=1.0,
    ram_total=25_100_000_000,
    ram_available=15_000_000_000,
    swap_total=2_000_000_000,
    engine_rss=640_000_000,
    cpu=0.34,
    engine_cpu=1.6,
    cores=2,
)


def snapshot(**changes: Any) -> specs.Snapshot:
    """The engine just started: three models, no chats."""
    plain = specs.Snapshot(
        engine=specs.EngineInfo(
            id="e1", pid=4711, version="0.1", started=time.time(), host="box", torch="ready"
        ),
        models=(DEMO, REAL, BASE),
        monitor=SAMPLE,
    )
    return msgspec.structs.replace(plain, **changes)


class Welcome(msgspec.Struct, frozen=True):
    """As the wire's, as far as a client's owner looks at it."""

    snapshot: specs.Snapshot
    seq: int = 0


class FakeEngine:
    """Plays the engine and its client at once. Answers what a chat needs; `answers` overrides by type."""

    def __init__(self, first: specs.Snapshot | None = None) -> None:
        self.welcome = Welcome(first or snapshot())
        self.requests: list[commands.Command] = []
        self.answers: dict[type, Callable[[Any], Any]] = {}
        self.chats: dict[str, specs.ChatInfo] = {chat.id: chat for chat in self.welcome.snapshot.chats}
        self.messages: dict[str, list[specs.Message]] = {}
        self.closed = False
        self.context = commands.ContextUse()
        """What the next prompt takes, whatever is asked."""
        self.dials = 0
        self._held: dict[type, asyncio.Event] = {}
        self._ids = itertools.count(1)
        self._queue: asyncio.Queue[events.Body | EngineLost | None] = asyncio.Queue()

    # --- as a client ------------------------------------------------------------------------

    async def dial(self) -> FakeEngine:
        """What the app calls to connect."""
        self.dials += 1
        return self

    async def request(self, command: Any) -> Any:
        if (held := self._held.get(type(command))) is not None:
            await held.wait()
        self.requests.append(command)
        answer = self.answers.get(type(command)) or getattr(
            self, f"_on_{type(command).__name__.lower()}", None
        )
        return answer(command) if answer else commands.Done()

    async def events(self) -> AsyncIterator[Any]:
        while (body := await self._queue.get()) is not None:
            if isinstance(body, EngineLost):
                raise body
            yield _Event(body)

    async def close(self) -> None:
        self.closed = True
        self._queue.put_nowait(None)

    # --- as the test's hand -----------------------------------------------------------------

    def emit(self, *bodies: events.Body) -> None:
        """Send events to the app."""
        for body in bodies:
            self._queue.put_nowait(body)

    def die(self, title: str = "The engine was killed (signal 9)") -> None:
        """End the link as a killed engine does."""
        self._queue.put_nowait(EngineDead(ErrorInfo("engine_dead", title)))

    def lose(self) -> None:
        """End the link alone."""
        self._queue.put_nowait(EngineLost(ErrorInfo("engine_lost", "The link to the engine broke")))

    def asked(self, kind: type) -> list[Any]:
        """The requests of this type so far."""
        return [command for command in self.requests if isinstance(command, kind)]

    def hold(self, kind: type) -> asyncio.Event:
        """Answer this type of request only once the event is set."""
        return self._held.setdefault(kind, asyncio.Event())

    def refuse(self, kind: type, code: str, title: str, detail: str = "", remedy: str = "") -> None:
        """Answer this type of request with an error from now on."""

        def answer(_: Any) -> EngineError:
            raise fault(code, title, detail, remedy)

        self.answers[kind] = answer

    def reply(self, chat: str = "c1") -> specs.Message:
        """The newest reply of a chat."""
        return self.messages[chat][-1]

    def think(self, text: str, *, tokens: int, seconds: float, chat: str = "c1") -> None:
        """The newest reply thinks this."""
        reply = self.reply(chat)
        stats = specs.ReplyStats(
            prompt_tokens=24,
            tokens=tokens,
            thinking_tokens=tokens,
            thinking_s=seconds,
            ttft_ms=180,
            tokens_per_s=41.2,
            context_used=24 + tokens,
            context_size=2048,
        )
        self.emit(
            events.ReplyMoved(chat=chat, message=reply.id, state="thinking"),
            events.TextDelta(chat=chat, message=reply.id, part="thinking", offset=0, text=text),
            events.ReplyProgress(chat=chat, message=reply.id, stats=stats),
        )

    def answer(self, text: str, *, offset: int = 0, chat: str = "c1") -> None:
        """The newest reply goes on to its answer."""
        reply = self.reply(chat)
        self.emit(
            events.ReplyMoved(chat=chat, message=reply.id, state="answering"),
            events.TextDelta(chat=chat, message=reply.id, part="answer", offset=offset, text=text),
        )

    def finish(
        self, text: str, thinking: str = "", *, finish: specs.Finish = "stop", chat: str = "c1", **more: Any
    ) -> specs.Message:
        """The newest reply is complete."""
        stats = specs.ReplyStats(
            prompt_tokens=24,
            tokens=73 if thinking else 12,
            thinking_tokens=61 if thinking else 0,
            thinking_s=1.2 if thinking else 0.0,
            ttft_ms=180,
            tokens_per_s=41.2,
            context_used=97,
            context_size=2048,
        )
        done = msgspec.structs.replace(
            self.reply(chat), text=text, thinking=thinking, state="done", finish=finish, stats=stats, **more
        )
        self.messages[chat][-1] = done
        self.emit(events.ReplyDone(message=done))
        return done

    def add_chat(self, chat_id: str, title: str, *pairs: tuple[str, str]) -> specs.ChatInfo:
        """A chat that exists already: questions and answers."""
        chat = specs.ChatInfo(
            id=chat_id, title=title, model="demo", created=1.0, updated=1.0 + len(self.chats)
        )
        self.chats[chat_id] = chat
        self.messages[chat_id] = []
        for question, answer in pairs:
            user = self._message(chat_id, "user", question)
            self.messages[chat_id].append(user)
            said = self._message(chat_id, "assistant", answer, finish="stop", model="demo")
            self.messages[chat_id].append(said)
        self.welcome = Welcome(
            msgspec.structs.replace(self.welcome.snapshot, chats=tuple(self.chats.values()))
        )
        return chat

    # --- answers ----------------------------------------------------------------------------

    def _message(self, chat: str, role: specs.Role, text: str = "", **more: Any) -> specs.Message:
        path = self.messages.setdefault(chat, [])
        return specs.Message(
            id=f"m{next(self._ids)}",
            chat=chat,
            role=role,
            text=text,
            parent=path[-1].id if path else None,
            created=time.time(),
            **more,
        )

    def _on_newchat(self, command: commands.NewChat) -> specs.ChatInfo:
        chat_id = f"c{len(self.chats) + 1}"
        chat = specs.ChatInfo(
            id=chat_id,
            model=command.model or "demo",
            settings=command.settings,
            updated=time.time(),
            saved=command.saved,
        )
        self.chats[chat_id] = chat
        return chat

    def _on_changechat(self, command: commands.ChangeChat) -> specs.ChatInfo:
        wanted = {
            field: getattr(command, field)
            for field in ("title", "model", "settings", "draft", "view", "tags", "archived")
            if getattr(command, field) is not None
        }
        self.chats[command.chat] = msgspec.structs.replace(self.chats[command.chat], **wanted)
        return self.chats[command.chat]

    def _on_send(self, command: commands.Send) -> commands.Sent:
        chat = msgspec.structs.replace(
            self.chats[command.chat],
            title=self.chats[command.chat].title or command.text[:30],
            updated=time.time(),
        )
        self.chats[command.chat] = chat
        user = self._message(command.chat, "user", command.text, files=command.files, images=command.images)
        self.messages[command.chat].append(user)
        reply = self._message(
            command.chat, "assistant", state="queued", model=chat.model, settings=chat.settings
        )
        self.messages[command.chat].append(reply)
        self.emit(
            events.ChatChanged(chat=chat),
            events.MessageAdded(message=user),
            events.MessageAdded(message=reply),
        )
        return commands.Sent(chat=chat, user=user, reply=reply)

    def _on_regenerate(self, command: commands.Regenerate) -> specs.Message:
        if not command.show:
            return self._aside(command)
        path = self.messages[command.chat]
        old = next(message for message in path if message.id == command.message)
        new = msgspec.structs.replace(
            old,
            id=f"m{next(self._ids)}",
            text="",
            thinking="",
            state="queued",
            finish=None,
            stats=None,
            version=old.versions + 1,
            versions=old.versions + 1,
        )
        path[path.index(old) :] = [new]
        self.emit(events.MessageAdded(message=new))
        return new

    def _aside(self, command: commands.Regenerate) -> specs.Message:
        """A reply beside the path, as a comparison asks for; the test finishes it by `finish_aside`."""
        old = next(each for each in self.messages[command.chat] if each.id == command.message)
        new = specs.Message(
            id=f"m{next(self._ids)}",
            chat=command.chat,
            role="assistant",
            parent=old.parent,
            state="queued",
            created=time.time(),
            model=command.model,
            settings=command.settings,
            version=2,
            versions=2,
        )
        self.emit(events.MessageAdded(message=new, shown=False))
        return new

    def finish_aside(self, message: str, chat: str, text: str, **more: Any) -> None:
        """A reply beside the path is complete."""
        stats = specs.ReplyStats(tokens=12, tokens_per_s=41.2)
        done = specs.Message(
            id=message, chat=chat, role="assistant", text=text, finish="stop", stats=stats, **more
        )
        self.emit(events.ReplyDone(message=done))

    def _on_readchat(self, command: commands.ReadChat) -> commands.ChatPage:
        path = self.messages.get(command.chat, [])
        if command.before is not None:
            at = next(index for index, message in enumerate(path) if message.id == command.before)
            path = path[:at]
        shown = path[-command.limit :]
        return commands.ChatPage(
            chat=self.chats[command.chat], messages=tuple(shown), more=len(path) > len(shown)
        )

    def _on_searchchats(self, command: commands.SearchChats) -> commands.HitList:
        return commands.HitList(
            hits=tuple(
                commands.Hit(
                    chat=message.chat,
                    title=self.chats[message.chat].title,
                    message=message.id,
                    part="answer",
                    excerpt=message.text[:60],
                )
                for path in self.messages.values()
                for message in path
                if command.query.lower() in message.text.lower()
            )
        )

    def _on_listmarked(self, command: commands.ListMarked) -> commands.MarkedList:
        return commands.MarkedList(replies=())

    def _on_readmemory(self, _: commands.ReadMemory) -> commands.MemoryPage:
        return commands.MemoryPage()

    def _on_measurecontext(self, command: commands.MeasureContext) -> commands.ContextUse:
        return self.context

    def _on_listmodels(self, command: commands.ListModels) -> commands.ModelList:
        return commands.ModelList(models=self.welcome.snapshot.models)


class _Event(msgspec.Struct, frozen=True):
    body: events.Body
    seq: int = 0
    at: float = 0.0
