"""Between rows of the store and the protocol's nouns."""

from __future__ import annotations

import sqlite3
from array import array
from typing import Any, TypeVar

import msgspec

from engine.protocol.errors import ErrorInfo
from engine.protocol.specs import Attachment, ChatInfo, ChatSettings, ImageRef, Message, ReplyStats

T = TypeVar("T")

CHAT_COLUMNS = "id, title, model, settings, head, draft, created, updated, tags, archived, view"
CHAT_VALUES = ", ".join("?" * 11)
MESSAGE_COLUMNS = (
    "id, chat, parent, role, text, thinking, state, model, adapter, settings, finish, stats, error, created,"
    " mark, origin, source, files, extra, images"
)
MESSAGE_VALUES = ", ".join("?" * 20)
_SIBLINGS = "s.chat = m.chat AND s.parent IS m.parent AND s.role = m.role AND s.deleted IS NULL"
VERSIONS = f"""
    (SELECT count(*) FROM messages s WHERE {_SIBLINGS}) AS versions,
    (SELECT count(*) FROM messages s WHERE {_SIBLINGS} AND s.seq <= m.seq) AS version
"""
"""Two columns of a query over `messages m`: how many siblings, and the place among them."""
_TAGS = tuple[str, ...]
_FILES = tuple[Attachment, ...]
_IMAGES = tuple[ImageRef, ...]


def select_message(more: str = "") -> str:
    """The beginning of a query over `messages m`: MESSAGE_COLUMNS, VERSIONS, and `more` columns."""
    names = ", ".join(f"m.{name.strip()}" for name in MESSAGE_COLUMNS.split(","))
    return f"SELECT {names}, {VERSIONS}{more and ', ' + more} FROM messages m"


SELECT_MESSAGE = select_message()


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
        _dump(info.tags),
        info.archived,
        info.view,
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
        tags=_load(row["tags"], _TAGS) or (),
        archived=bool(row["archived"]),
        view=row["view"],
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
        message.mark,
        message.origin,
        message.source,
        _dump(message.files or None),
        message.extra,
        _dump(message.images or None),
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
        mark=row["mark"],
        origin=row["origin"],
        source=row["source"],
        files=_load(row["files"], _FILES) or (),
        extra=row["extra"],
        images=images_of(row["images"]),
        version=row["version"],
        versions=row["versions"],
    )


def images_of(text: str | None) -> tuple[ImageRef, ...]:
    """The images of a column `images`."""
    return _load(text, _IMAGES) or ()


def ids_row(ids: tuple[int, ...]) -> bytes | None:
    """Token ids as the column `ids` holds them: unsigned 32-bit numbers; None where there are none."""
    return array("I", ids).tobytes() if ids else None


def ids_of(data: bytes | None) -> tuple[int, ...]:
    """The ids of a column `ids`."""
    ids = array("I")
    ids.frombytes(data or b"")
    return tuple(ids)


def _dump(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _load(text: str | None, kind: type[T]) -> T | None:
    return None if text is None else msgspec.json.decode(text, type=kind)
