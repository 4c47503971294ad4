"""Commands that carry whole chats out of and into the store, page by page."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from engine.protocol.command import Command
from engine.protocol.specs import ChatInfo, Message


class TreePage(msgspec.Struct, frozen=True):
    """A stretch of a chat's tree: every version of every message, each after its parent."""

    chat: ChatInfo
    messages: tuple[Message, ...]
    more: bool = False
    """Whether messages follow the last one here."""


class ReadTree(Command, frozen=True, tag=True):
    """All messages of a chat in the order in which they were stored, those after message `after`."""

    Result: ClassVar[type] = TreePage
    chat: str
    after: str | None = None
    limit: int = 500
    """Fewer come where they would not fit on a line."""


class PutChat(Command, frozen=True, tag=True):
    """Begin a chat from elsewhere. Its id is new; nobody sees it before its last PutMessages."""

    Result: ClassVar[type] = ChatInfo
    info: ChatInfo


class PutMessages(Command, frozen=True, tag=True):
    """More messages of a chat that PutChat began, each after its parent; ids may be those of elsewhere.

    One page is one transaction. With `last` the chat appears, showing the path to `head`.
    """

    Result: ClassVar[type] = ChatInfo
    chat: str
    messages: tuple[Message, ...]
    head: str | None = None
    """The leaf shown, by its id elsewhere; without one it is the last message."""
    last: bool = False
