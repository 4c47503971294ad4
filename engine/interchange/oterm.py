"""oterm's store: an SQLite file with the tables chat and message."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine.interchange.build import ROLES, Builder
from engine.interchange.found import Found, Skipped, Unfit
from engine.interchange.plain import THINKING
from engine.interchange.values import dump, items, text

MAGIC = b"SQLite format 3\x00"


def read(path: Path, skip: Callable[[Skipped], None]) -> Iterator[Found]:
    """Its chats. Raises Unfit for another program's store, and for one that cannot be read."""
    try:
        # Opened for reading only, and from any thread: a generator goes on in whichever asks next.
        store = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        store.row_factory = sqlite3.Row
        store.text_factory = lambda data: data.decode(errors="replace")
        try:
            yield from _chats(store, skip)
        finally:
            store.close()
    except sqlite3.Error as error:
        raise Unfit(f"the store cannot be read ({error})") from None


def _chats(store: sqlite3.Connection, skip: Callable[[Skipped], None]) -> Iterator[Found]:
    columns = {table: _columns(store, table) for table in ("chat", "message")}
    if not {"id", "name"} <= columns["chat"] or not {"chat_id", "author", "text"} <= columns["message"]:
        raise Unfit("an SQLite file, but not oterm's store")
    for row in store.execute("SELECT * FROM chat ORDER BY id").fetchall():
        chat = dict(row)
        builder = Builder(f"chat {chat['id']}", skip)
        builder.system = text(chat.get("system"))
        said = store.execute("SELECT * FROM message WHERE chat_id = ? ORDER BY id", (chat["id"],))
        parent: str | None = None
        for message in said:
            parent = _add(builder, dict(message), text(chat.get("model")), parent)
        found = builder.done(title=chat.get("name"))
        if found is not None:
            yield found


def _columns(store: sqlite3.Connection, table: str) -> set[str]:
    return {row["name"] for row in store.execute(f"PRAGMA table_info({table})")}


def _add(builder: Builder, message: dict[str, Any], model: str, parent: str | None) -> str | None:
    where = f"message {message.get('id')}"
    author = message.get("author")
    role = ROLES.get(author.lower()) if isinstance(author, str) else None
    if role is None:
        builder.skip(where, "nobody knows who speaks")
        return parent
    images = _images(message.get("images"))
    thinking = next((text(message[key]) for key in THINKING if text(message.get(key)).strip()), "")
    return builder.add(
        role,
        message.get("text"),
        parent=parent,
        where=where,
        thinking=thinking if role == "assistant" else "",
        model=model[:200] if role == "assistant" else "",
        extra=dump({"oterm": {"images": images}}) if images else "",
    )


def _images(value: Any) -> list[Any]:
    try:
        return items(json.loads(value)) if isinstance(value, str) else []
    except (ValueError, RecursionError):
        return []
