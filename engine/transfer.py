"""Whole chats over the protocol: pages that fit on a line, and chats from elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec.structs import replace

from engine.chatbook import Chatbook, new_id
from engine.pages import fitting
from engine.protocol.commands import PutChat, PutMessages, ReadTree, TreePage
from engine.protocol.specs import ChatInfo


class Transfer:
    """Answers ReadTree, PutChat and PutMessages."""

    def __init__(self, book: Chatbook, default_model: Callable[[], str]) -> None:
        self._book = book
        self._default_model = default_model

    async def read(self, command: ReadTree) -> TreePage:
        """As many messages as are asked for and fit. Raises EngineError `chat_unknown`."""
        chat = await self._book.chat(command.chat)
        found, more = await self._book.tree(chat.id, command.after, max(1, command.limit))
        page = fitting(found)
        return TreePage(chat, page, more or len(page) < len(found))

    async def begin(self, command: PutChat) -> ChatInfo:
        """A new chat that is not seen yet; what names no model gets the one that new chats have."""
        now = time.time()
        info = command.info
        chat = replace(
            info,
            id=new_id(),
            model=info.model or self._default_model(),
            created=info.created or now,
            updated=info.updated or info.created or now,
            head=None,
            saved=True,
        )
        await self._book.stage(chat)
        return chat

    async def put(self, command: PutMessages) -> ChatInfo:
        """One page. Raises EngineError `chat_unknown` or `messages_unfit`, and then nothing of it is kept."""
        await self._book.put(command.chat, command.messages, last=command.last, head=command.head)
        return await self._book.chat(command.chat) if command.last else ChatInfo(command.chat)
