"""Commands on the tree of a chat's messages: versions, edits, forks, marks, votes."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from engine.protocol.command import Command
from engine.protocol.specs import ChatInfo, Mark, Message


class ShowVersion(Command, frozen=True, tag=True):
    """Show the path through this message and down its newest descendants."""

    Result: ClassVar[type] = ChatInfo
    chat: str
    message: str
    by: int = 0
    """So many versions further on from this message (-1: the one before it); past an end is the end."""


class Edited(msgspec.Struct, frozen=True):
    """A new version of a message, and the reply that it gets."""

    chat: ChatInfo
    message: Message
    reply: Message | None = None


class EditMessage(Command, frozen=True, tag=True):
    """A new version of a message beside the old one.

    A user's message keeps its files and is answered, unless `answer` is false. A reply becomes what it should
    have been (origin `edited`, source the old one); nothing is generated.
    """

    Result: ClassVar[type] = Edited
    chat: str
    message: str
    text: str
    answer: bool = True


class ContinueReply(Command, frozen=True, tag=True):
    """A new version of a reply that begins with the old one's thinking and text, and goes on."""

    Result: ClassVar[type] = Message
    chat: str
    message: str


class ForkChat(Command, frozen=True, tag=True):
    """A new chat with a copy of the path up to this message."""

    Result: ClassVar[type] = ChatInfo
    chat: str
    message: str


class DeleteMessage(Command, frozen=True, tag=True):
    """Take a message and all below it off the tree; `restore` brings them back."""

    Result: ClassVar[type] = ChatInfo
    chat: str
    message: str
    restore: bool = False


class MarkReply(Command, frozen=True, tag=True):
    """Mark a reply good or bad, or take the mark away; stored with the exact prompt."""

    Result: ClassVar[type] = Message
    chat: str
    message: str
    mark: Mark


class Marked(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reply that was marked or edited, with the question that it answers."""

    message: Message
    title: str = ""
    """Of its chat."""
    question: str = ""
    """The newest user's message before it."""


class MarkedList(msgspec.Struct, frozen=True):
    replies: tuple[Marked, ...]
    total: int = 0


class ListMarked(Command, frozen=True, tag=True):
    """Replies that were marked or edited, newest first."""

    Result: ClassVar[type] = MarkedList
    limit: int = 100
    offset: int = 0


class MarkedRows(msgspec.Struct, frozen=True):
    """Rows of a dataset, one JSON object each."""

    rows: tuple[str, ...]
    more: bool = False


class ExportMarked(Command, frozen=True, tag=True):
    """The marked replies as training rows.

    `messages`: good and edited ones. `preference`: prompt, chosen, rejected, of edits, of votes, and of good
    beside bad versions. `kto`: prompt, completion, label.
    """

    Result: ClassVar[type] = MarkedRows
    shape: str = "messages"
    limit: int = 200
    offset: int = 0


class Vote(Command, frozen=True, tag=True):
    """One reply is better than others of the same question. Without a winner: a tie, or all bad."""

    chat: str
    winner: str = ""
    over: tuple[str, ...] = ()
    all_bad: bool = False
