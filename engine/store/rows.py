"""Between rows of the store and the protocol's nouns."""

from __future__ import annotations

import sqlite3
from typing import Any, TypeVar

import msgspec

from engine.protocol.errors import ErrorInfo
from engine.protocol.specs import ChatInfo, ChatSettings, Message, ReplyStats

T = TypeVar("T")

CHAT_COLUMNS = "id, title, model, settings, head, draft, created, updated"
MESSAGE_COLUMNS = (
    "id, chat, parent, role, text, thinking, state, model, adapter, settings, finish, stats, error, created"
)
VERSIONS = """
    (SELECT count(*) FROM messages s
      WHERE s.chat = m.chat AND s.parent IS m.parent AND s.role = m.role) AS versions,
    (SELECT count(*) FROM messages s
      WHERE s.chat = m.chat AND s.parent IS m.parent AND s.role = m.role AND s.seq <= m.seq) AS version
"""
"""Two columns of a query over `messages m`: how many siblings, and the place among them."""


def chat_row(info: ChatInfo) -> tuple[Any, ...]:
    """The values of CHAT_COLUMNS."""
    return (
        info.id,
        info.title,
        info.model,
        _dump(info.settings),
        info.head,
        info.draft,
        info.created,
        info.updated,
    )


def chat_of(row: sqlite3.Row, saved: bool) -> ChatInfo:
    """A row with CHAT_COLUMNS."""
    return ChatInfo(
        id=row["id"],
        title=row["title"],
        model=row["model"],
        created=row["created"],
        updated=row["updated"],
        head=row["head"],
        settings=_load(row["settings"], ChatSettings) or ChatSettings(),
        draft=row["draft"],
        saved=saved,
    )


def message_row(message: Message) -> tuple[Any, ...]:
    """The values of MESSAGE_COLUMNS."""
    return (
        message.id,
        message.chat,
        message.parent,
        message.role,
        message.text,
        message.thinking,
        message.state,
        message.model,
        message.adapter,
        _dump(message.settings),
        message.finish,
        _dump(message.stats),
        _dump(message.error),
        message.created,
    )


def message_of(row: sqlite3.Row, text: str = "", thinking: str = "") -> Message:
    """A row with MESSAGE_COLUMNS and VERSIONS; `text` and `thinking` are its pending deltas."""
    return Message(
        id=row["id"],
        chat=row["chat"],
        role=row["role"],
        text=row["text"] + text,
        thinking=row["thinking"] + thinking,
        parent=row["parent"],
        state=row["state"],
        created=row["created"],
        model=row["model"],
        adapter=row["adapter"],
        settings=_load(row["settings"], ChatSettings),
        finish=row["finish"],
        stats=_load(row["stats"], ReplyStats),
        error=_load(row["error"], ErrorInfo),
        version=row["version"],
        versions=row["versions"],
    )


def _dump(value: msgspec.Struct | None) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _load(text: str | None, kind: type[T]) -> T | None:
    return None if text is None else msgspec.json.decode(text, type=kind)
