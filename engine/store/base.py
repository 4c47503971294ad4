"""What all parts of the store share: the connection, transactions, and how a message is read and written."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.protocol.errors import EngineError, fault
from engine.protocol.specs import Message
from engine.store import rows
from engine.store.errors import spoken

MEMORY = ":memory:"


class Base:
    """One connection, used from one thread at a time. Every public method is one transaction.

    Raises EngineError disk_full, store_corrupt, store_unwritable, store_busy or store_failed, and the store
    is then as it was before the call.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        self._path = path
        self._synchronous = ""
        self._saved = str(path) != MEMORY

    def message(self, id: str) -> Message:  # noqa: A002
        """One message with its text so far. Raises EngineError `message_unknown`, for a deleted one too."""
        found = self._all(f"{rows.SELECT_MESSAGE} WHERE m.id = ? AND m.deleted IS NULL", (id,))
        if not found:
            raise unknown_message(id)
        return self._message(found[0])

    def sent_before(self, chat: str, id: str) -> tuple[Message, Message | None] | None:  # noqa: A002
        """A chat's message of this id and the first reply to it, deleted ones too; None where it has none."""
        asked = self._all(f"{rows.SELECT_MESSAGE} WHERE m.id = ? AND m.chat = ?", (id, chat))
        if not asked:
            return None
        replies = "WHERE m.parent = ? AND m.role = 'assistant' ORDER BY m.created LIMIT 1"
        answers = self._all(f"{rows.SELECT_MESSAGE} {replies}", (id,))
        return self._message(asked[0]), self._message(answers[0]) if answers else None

    def _message(self, row: sqlite3.Row) -> Message:
        """A message of SELECT_MESSAGE, a live one with its deltas."""
        if row["state"] == "done":
            return rows.message_of(row)
        texts: dict[str, list[str]] = {"answer": [], "thinking": []}
        for part, text in self._db.execute(
            "SELECT part, text FROM deltas WHERE message = ? ORDER BY n", (row["id"],)
        ):
            texts[part].append(text)
        return rows.message_of(row, "".join(texts["answer"]), "".join(texts["thinking"]))

    def _insert(self, message: Message, *, head: bool) -> None:
        """Add a message to its chat, and maybe show it. Raises EngineError `chat_unknown`."""
        changed = self._db.execute(
            "UPDATE chats SET head = iif(?, ?, head), updated = max(updated, ?)"
            " WHERE id = ? AND deleted IS NULL",
            (head, message.id, message.created or time.time(), message.chat),
        )
        if changed.rowcount == 0:
            raise unknown_chat(message.chat)
        self._db.execute(
            f"INSERT INTO messages ({rows.MESSAGE_COLUMNS}) VALUES ({rows.MESSAGE_VALUES})",
            rows.message_row(message),
        )

    def _all(self, query: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        with spoken(self._path):
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self, durable: bool = True) -> Iterator[None]:
        """All or nothing; durable ones are synced to the disk before they return."""
        with spoken(self._path):
            synchronous = "FULL" if durable else "NORMAL"
            if synchronous != self._synchronous:
                self._db.execute(f"PRAGMA synchronous = {synchronous}")
                self._synchronous = synchronous
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled back by itself.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


def unknown_chat(chat: str) -> EngineError:
    """The fault of a chat that is not there, or in the trash."""
    return fault(
        "chat_unknown",
        "There is no such chat",
        f"No chat has the id {chat}",
        "Pick one from the list of chats",
    )


def unknown_message(message: str) -> EngineError:
    """The fault of a message that is not there, or deleted."""
    return fault(
        "message_unknown", "There is no such message", f"No message has the id {message}", "Reload the chat"
    )
