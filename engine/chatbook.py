"""The chats: saved ones on disk, unsaved ones in memory, behind one door. SQLite has a lane of its own."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from engine.bus import Bus
from engine.chat.titles import title_of
from engine.lanes import Lane
from engine.protocol.commands import ChangeChat, ChatList, HitList, NewChat
from engine.protocol.events import ChatChanged, ChatGone, MessageAdded
from engine.protocol.specs import ChatInfo, Message, Part
from engine.store.store import Store

RECENT = 50
"""Chats in a snapshot."""


def new_id() -> str:
    """A chat's or message's id: 64 random bits in hex."""
    return secrets.token_hex(8)


class Chatbook:
    """What is stored comes back; every change is committed before it is published."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._lane = Lane("store")
        self._disk: Store | None = None
        self._memory: Store | None = None
        self._unsaved: set[str] = set()
        self._recent: dict[str, ChatInfo] = {}

    async def open(self, path: Path) -> list[Message]:
        """Open both stores; returns the replies that a killed engine left unfinished, now closed."""
        self._disk = await self._lane.run(Store.open, path)
        self._memory = await self._lane.run(Store.memory)
        left = await self._call(self._disk.recover)
        self._recent = {chat.id: chat for chat in await self._call(self._disk.chats, RECENT, 0)}
        return left

    async def close(self) -> None:
        for store in (self._disk, self._memory):
            if store is not None:
                await self._call(store.close)
        self._lane.close()

    def recent(self) -> tuple[ChatInfo, ...]:
        """The newest chats that hold a message, newest first."""
        chats = sorted(self._recent.values(), key=lambda chat: -chat.updated)
        return tuple(chat for chat in chats if chat.head)[:RECENT]

    # --- chats ------------------------------------------------------------------------------

    async def new(self, command: NewChat) -> ChatInfo:
        now = time.time()
        chat = ChatInfo(
            new_id(),
            model=command.model,
            created=now,
            updated=now,
            settings=command.settings,
            saved=command.saved,
        )
        if not chat.saved:
            self._unsaved.add(chat.id)
        await self._call(self._store(chat.id).add_chat, chat)
        return chat

    async def chat(self, chat: str) -> ChatInfo:
        info = await self._call(self._store(chat).chat, chat)
        return replace(info, saved=chat not in self._unsaved)

    async def page(self, limit: int, offset: int) -> ChatList:
        return ChatList(tuple(await self._call(self._saved().chats, limit, offset)))

    async def search(self, query: str, limit: int) -> HitList:
        return HitList(tuple(await self._call(self._saved().search, query, limit)))

    async def change(self, command: ChangeChat) -> ChatInfo:
        wanted = {
            name: value
            for name in ("title", "model", "settings", "draft")
            if (value := getattr(command, name)) is not None
        }
        chat = replace(await self.chat(command.chat), **wanted)
        await self._write(chat)
        return chat

    async def delete(self, chat: str, *, restore: bool) -> None:
        await self._call(self._store(chat).delete_chat, chat, restore)
        if restore:
            self._publish(await self.chat(chat))
        else:
            self._recent.pop(chat, None)
            self._bus.publish(ChatGone(chat))

    # --- messages ---------------------------------------------------------------------------

    async def add(self, *messages: Message) -> ChatInfo:
        """Store messages in order, the last one as the chat's head, and tell everyone."""
        store = self._store(messages[0].chat)
        added = [await self._call(store.add_message, message) for message in messages]
        chat = await self.chat(messages[0].chat)
        if not chat.title and messages[0].role == "user":
            chat = replace(chat, title=title_of(messages[0].text))
            await self._call(store.change_chat, chat)
        self._publish(chat)
        for message in added:
            self._bus.publish(MessageAdded(message))
        return chat

    async def message(self, chat: str, message: str) -> Message:
        return await self._call(self._store(chat).message, message)

    async def path(
        self, chat: str, head: str, before: str | None = None, limit: int = 100
    ) -> tuple[list[Message], bool]:
        """The newest `limit` messages from the root to `head`, oldest first; and whether older ones exist."""
        return await self._call(self._store(chat).path, head, before, limit)

    async def append(self, chat: str, message: str, part: Part, text: str) -> None:
        await self._call(self._store(chat).append, message, part, text)

    async def finish(self, message: Message) -> Message:
        """Write a reply as it ended; returns it with its place among its versions."""
        return await self._call(self._store(message.chat).finish, message)

    # --- inside -----------------------------------------------------------------------------

    async def _write(self, chat: ChatInfo) -> None:
        await self._call(self._store(chat.id).change_chat, chat)
        self._publish(chat)

    def _publish(self, chat: ChatInfo) -> None:
        if chat.saved:
            self._recent[chat.id] = chat
        if chat.head:
            self._bus.publish(ChatChanged(chat))

    def _saved(self) -> Store:
        assert self._disk is not None, "open() comes first"
        return self._disk

    def _store(self, chat: str) -> Store:
        if chat in self._unsaved and self._memory is not None:
            return self._memory
        return self._saved()

    async def _call(self, method: Any, *args: Any) -> Any:
        return await self._lane.run(method, *args)
