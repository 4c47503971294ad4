"""The chats: saved ones on disk, unsaved ones in memory, behind one door. SQLite has a lane of its own."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from msgspec.structs import replace

from engine.bus import Bus
from engine.chat.titles import title_of
from engine.lanes import Lane
from engine.protocol.commands import ChangeChat, ChatList, HitList, ListChats, NewChat
from engine.protocol.events import ChatChanged, ChatGone, MessageAdded
from engine.protocol.specs import ChatInfo, Message, Part
from engine.store.base import unknown_message
from engine.store.store import Store
from engine.turns import sent
from engine.vitals import Told

P = ParamSpec("P")
T = TypeVar("T")
HISTORY = 100_000
"""Messages that a prompt is made of at most; the context window cuts long before."""
FORKED = " (fork)"
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
        """The newest chats that hold a message and are not archived, newest first."""
        chats = sorted(self._recent.values(), key=lambda chat: -chat.updated)
        return tuple(chat for chat in chats if chat.head and not chat.archived)[:RECENT]

    # --- chats ------------------------------------------------------------------------------

    async def new(self, command: NewChat) -> ChatInfo:
        """A new chat; one that was made with this id before is answered instead."""
        known = bool(command.id) and await self.ask(command.id, Store.has_chat, command.id)
        if known:
            return await self.chat(command.id)
        now = time.time()
        chat = ChatInfo(
            command.id or new_id(),
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

    async def page(self, command: ListChats) -> ChatList:
        found = await self.ask(
            None, Store.chats, command.limit, command.offset, archived=command.archived, tag=command.tag
        )
        return ChatList(tuple(found))

    async def search(self, query: str, limit: int) -> HitList:
        return HitList(tuple(await self._call(self._saved().search, query, limit)))

    async def change(self, command: ChangeChat) -> ChatInfo:
        wanted = {
            name: value
            for name in ("title", "model", "settings", "draft", "tags", "archived", "view")
            if (value := getattr(command, name)) is not None
        }
        chat = await self.ask(command.chat, Store.change_chat, command.chat, **wanted)
        self._publish(chat)
        return chat

    async def delete(self, chat: str, *, restore: bool) -> None:
        await self._call(self._store(chat).delete_chat, chat, restore)
        if restore:
            self._publish(await self.chat(chat))
        else:
            self._recent.pop(chat, None)
            self._bus.publish(ChatGone(chat))

    # --- summaries --------------------------------------------------------------------------

    async def summaries(self, chat: str) -> dict[str, str]:
        """What stands in prompts for the oldest messages, by the id of the last of them."""
        return await self._call(self._store(chat).summaries, chat)

    async def keep_summary(self, chat: str, upto: str, text: str) -> None:
        """Store a summary of all messages up to this one."""
        await self._call(self._store(chat).keep_summary, chat, upto, text)

    # --- statistics -------------------------------------------------------------------------

    async def told(self, limit: int) -> list[Told]:
        """Statistics of the newest replies, those of chats that are not saved too; newest first in each."""
        stores = [store for store in (self._memory, self._disk) if store is not None]
        return [row for store in stores for row in await self._call(store.told, limit)]

    # --- whole chats ------------------------------------------------------------------------

    async def tree(self, chat: str, after: str | None, limit: int) -> tuple[list[Message], bool]:
        """Messages of a chat in the order they were stored; and whether others follow."""
        return await self._call(self._store(chat).tree, chat, after, limit)

    async def stage(self, chat: ChatInfo) -> None:
        """Begin a chat from elsewhere, unseen until its last page is put."""
        await self._call(self._saved().stage_chat, chat)

    async def put(self, chat: str, messages: tuple[Message, ...], *, last: bool, head: str | None) -> None:
        """One page of a chat that was begun; with the last one everyone is told."""
        await self._call(self._saved().put_messages, chat, messages, last, head)
        if last:
            self._publish(await self.chat(chat))

    # --- messages ---------------------------------------------------------------------------

    async def add(self, *messages: Message, shown: bool = True, prompt: str = "") -> ChatInfo:
        """Store messages in order, the last one as the chat's head where they are shown, and tell everyone.

        `prompt` (JSON) is given with a reply that was edited: it counts as marked.
        """
        first = messages[0]
        added = [
            await self.ask(first.chat, Store.add_message, message, head=shown, prompt=prompt)
            for message in messages
        ]
        chat = await self.chat(first.chat)
        if not chat.title and first.role == "user":
            names = [*(file.name for file in first.files), *(image.name for image in first.images)]
            title = title_of("\n".join([first.text, *names]))
            chat = await self.ask(chat.id, Store.change_chat, chat.id, title=title)
        self._publish(chat)
        for message in added:
            self._bus.publish(MessageAdded(message, shown))
        return chat

    async def message(self, chat: str, message: str) -> Message:
        """Raises EngineError `message_unknown`, for one of another chat too."""
        found = await self.ask(chat, Store.message, message)
        if found.chat != chat:
            raise unknown_message(message)
        return found

    async def sent_before(self, chat: str, message: str) -> tuple[Message, Message | None] | None:
        """A message that this chat holds under this id, and the first reply to it; None where it has none."""
        return await self.ask(chat, Store.sent_before, chat, message)

    async def sent(self, chat: str, head: str | None) -> list[Message]:
        """What of the path to `head` a prompt is made of, oldest first."""
        return sent((await self.ask(chat, Store.path, head, None, HISTORY))[0])

    async def path(
        self, chat: str, head: str, before: str | None = None, limit: int = 100
    ) -> tuple[list[Message], bool]:
        """The newest `limit` messages from the root to `head`, oldest first; and whether older ones exist."""
        return await self._call(self._store(chat).path, head, before, limit)

    async def append(self, chat: str, message: str, part: Part, text: str) -> None:
        await self._call(self._store(chat).append, message, part, text)

    async def finish(self, message: Message, ids: tuple[int, ...] = ()) -> Message:
        """Write a reply as it ended, with its tokens; returns it with its place among its versions."""
        return await self.ask(message.chat, Store.finish, message, ids)

    async def ask(
        self,
        chat: str | None,
        method: Callable[Concatenate[Store, P], T],
        *args: P.args,
        **options: P.kwargs,
    ) -> T:
        """Call a method of the store that holds this chat; None: of the one on the disk."""
        store = self._saved() if chat is None else self._store(chat)
        return await self._lane.run(lambda: method(store, *args, **options))

    async def change_tree(
        self,
        chat: str,
        method: Callable[Concatenate[Store, str, P], None],
        *args: P.args,
        **options: P.kwargs,
    ) -> ChatInfo:
        """Call a method that may move the chat's head, tell everyone, and return the chat."""
        store = self._store(chat)
        await self._lane.run(lambda: method(store, chat, *args, **options))
        return self.tell(await self.chat(chat))

    async def fork(self, chat: str, message: str) -> ChatInfo:
        """A new chat with the path up to this message, kept where the old one is."""
        old, now = await self.chat(chat), time.time()
        title = old.title if old.title.endswith(FORKED) else f"{old.title}{FORKED}".strip()
        copy = replace(
            old,
            id=new_id(),
            title=title,
            created=now,
            updated=now,
            head=None,
            draft="",
            archived=False,
            view="",
        )
        if not old.saved:
            self._unsaved.add(copy.id)
        await self.ask(chat, Store.fork, chat, message, copy, new_id)
        return self.tell(await self.chat(copy.id))

    # --- inside -----------------------------------------------------------------------------

    def tell(self, chat: ChatInfo) -> ChatInfo:
        """Everyone learns how a chat is now."""
        if chat.saved:
            self._recent[chat.id] = chat
        self._bus.publish(ChatChanged(chat))
        return chat

    def _publish(self, chat: ChatInfo) -> None:
        """As `tell`, but nobody learns of a chat that nothing was said in yet."""
        if chat.head:
            self.tell(chat)
        elif chat.saved:
            self._recent[chat.id] = chat

    def _saved(self) -> Store:
        assert self._disk is not None, "open() comes first"
        return self._disk

    def _store(self, chat: str) -> Store:
        if chat in self._unsaved and self._memory is not None:
            return self._memory
        return self._saved()

    async def _call(self, method: Any, *args: Any) -> Any:
        return await self._lane.run(method, *args)
