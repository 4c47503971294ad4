"""Chats and their messages in one SQLite file."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from engine.protocol.commands import Hit
from engine.protocol.errors import EngineError, fault
from engine.protocol.specs import ChatInfo, Message, Part
from engine.store import rows, search
from engine.store.errors import spoken
from engine.store.migrate import migrate

BUSY_MS = 5000
FORGET_AFTER = 86_400.0
"""Seconds until a chat that nothing was ever said in is dropped at a start."""
_MEMORY = ":memory:"
_SELECT_MESSAGE = f"SELECT {rows.MESSAGE_COLUMNS}, {rows.VERSIONS} FROM messages m"
_WALK = f"""
    WITH RECURSIVE up(step, above, depth) AS (
        SELECT id, parent, 0 FROM messages WHERE id = ?
        UNION ALL
        SELECT n.id, n.parent, depth + 1 FROM messages n JOIN up ON n.id = up.above WHERE depth < ?
    )
    {_SELECT_MESSAGE} JOIN up ON up.step = m.id ORDER BY up.depth
"""


class Store:
    """One connection, used from one thread at a time. Every method is one transaction.

    Raises EngineError disk_full, store_corrupt, store_unwritable, store_busy or store_failed, and the store
    is then as it was before the call.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        self._path = path
        self._synchronous = ""
        self._saved = str(path) != _MEMORY

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open or create the file (mode 0600), and migrate it. Raises EngineError `store_newer` too."""
        with spoken(path):
            # SQLite gives -wal and -shm the mode of the file itself.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            os.chmod(path, 0o600)
            connection = _connect(str(path))
            try:
                migrate(connection, path)
                connection.execute("PRAGMA journal_mode = WAL")
            except BaseException:
                connection.close()
                raise
        return cls(connection, path)

    @classmethod
    def memory(cls) -> Store:
        """A store that leaves nothing on disk, for chats that are not saved."""
        connection = _connect(_MEMORY)
        migrate(connection, None)
        return cls(connection, Path(_MEMORY))

    def close(self) -> None:
        """Close the file; the write-ahead log is folded into it."""
        self._db.close()

    # --- chats ------------------------------------------------------------------------------

    def chats(self, limit: int = 50, offset: int = 0) -> list[ChatInfo]:
        """Chats with at least one message, the last changed first."""
        found = self._all(
            f"SELECT {rows.CHAT_COLUMNS} FROM chats WHERE deleted IS NULL"
            " AND EXISTS (SELECT 1 FROM messages WHERE chat = chats.id)"
            " ORDER BY updated DESC, rowid DESC LIMIT ? OFFSET ?",
            (limit, offset),
        )
        return [rows.chat_of(row, self._saved) for row in found]

    def chat(self, id: str) -> ChatInfo:  # noqa: A002
        """One chat. Raises EngineError `chat_unknown`, for one in the trash too."""
        found = self._all(f"SELECT {rows.CHAT_COLUMNS} FROM chats WHERE id = ? AND deleted IS NULL", (id,))
        if not found:
            raise _unknown_chat(id)
        return rows.chat_of(found[0], self._saved)

    def add_chat(self, info: ChatInfo) -> None:
        """A new, empty chat; `chats` shows it from its first message on."""
        with self._transaction():
            self._db.execute(
                f"INSERT INTO chats ({rows.CHAT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                rows.chat_row(info),
            )

    def change_chat(self, info: ChatInfo) -> None:
        """Write all of a chat's row. Raises EngineError `chat_unknown`."""
        with self._transaction():
            changed = self._db.execute(
                "UPDATE chats SET (title, model, settings, head, draft, created, updated)"
                " = (?, ?, ?, ?, ?, ?, ?) WHERE id = ? AND deleted IS NULL",
                (*rows.chat_row(info)[1:], info.id),
            )
            if changed.rowcount == 0:
                raise _unknown_chat(info.id)

    def delete_chat(self, id: str, restore: bool = False) -> None:  # noqa: A002
        """Move a chat to the trash, or back. Raises EngineError `chat_unknown`."""
        with self._transaction():
            changed = self._db.execute(
                "UPDATE chats SET deleted = ? WHERE id = ?", (None if restore else time.time(), id)
            )
            if changed.rowcount == 0:
                raise _unknown_chat(id)

    def set_head(self, chat: str, message: str) -> None:
        """Show the path that ends in this message. Raises EngineError `chat_unknown` or `message_unknown`."""
        with self._transaction():
            if not self._db.execute(
                "SELECT 1 FROM messages WHERE id = ? AND chat = ?", (message, chat)
            ).fetchone():
                raise _unknown_message(message)
            self._db.execute("UPDATE chats SET head = ? WHERE id = ?", (message, chat))

    # --- messages ---------------------------------------------------------------------------

    def add_message(self, message: Message) -> Message:
        """Store a message as its chat's head; returns it with `version` and `versions` filled in.

        It is on the disk when this returns. Raises EngineError `chat_unknown`.
        """
        with self._transaction():
            changed = self._db.execute(
                "UPDATE chats SET head = ?, updated = max(updated, ?) WHERE id = ? AND deleted IS NULL",
                (message.id, message.created or time.time(), message.chat),
            )
            if changed.rowcount == 0:
                raise _unknown_chat(message.chat)
            self._db.execute(
                f"INSERT INTO messages ({rows.MESSAGE_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                rows.message_row(message),
            )
        return self.message(message.id)

    def append(self, message: str, part: Part, text: str) -> None:
        """More text of a live message. A killed engine loses none of it, a power cut the last moment."""
        with self._transaction(durable=False):
            self._db.execute(
                "INSERT INTO deltas (message, n, part, text)"
                " SELECT ?, coalesce(max(n) + 1, 0), ?, ? FROM deltas WHERE message = ?",
                (message, part, text, message),
            )

    def finish(self, message: Message) -> Message:
        """Write a message as it ended, and drop its deltas; returns it with its version. Durable."""
        with self._transaction():
            self._write(message)
        return self.message(message.id)

    def message(self, id: str) -> Message:  # noqa: A002
        """One message with its text so far. Raises EngineError `message_unknown`."""
        found = self._all(f"{_SELECT_MESSAGE} WHERE m.id = ?", (id,))
        if not found:
            raise _unknown_message(id)
        return self._message(found[0])

    def path(
        self, head: str | None, before: str | None = None, limit: int = 100
    ) -> tuple[list[Message], bool]:
        """The newest `limit` messages on the way from the root to `head` or `before`'s parent, oldest first.

        The flag: whether older ones exist. Raises EngineError `message_unknown`.
        """
        start = self.message(before).parent if before is not None else head
        if start is None:
            return [], False
        found = self._all(_WALK, (start, limit))
        if not found:
            raise _unknown_message(start)
        return [self._message(row) for row in reversed(found[:limit])], len(found) > limit

    def search(self, query: str, limit: int = 50) -> list[Hit]:
        """Messages and thoughts that hold these words, best first."""
        with spoken(self._path):
            return search.search(self._db, query, limit)

    def recover(self) -> list[Message]:
        """At an engine's start: close the replies that a killed one left live (deltas joined in, finish
        `interrupted`) and return them; drop chats of another day that nothing was said in."""
        with self._transaction():
            found = self._db.execute(f"{_SELECT_MESSAGE} WHERE m.state <> 'done' ORDER BY m.seq").fetchall()
            closed = [
                msgspec.structs.replace(self._message(row), state="done", finish="interrupted")
                for row in found
            ]
            for message in closed:
                self._write(message)
            self._db.execute(
                "DELETE FROM chats WHERE head IS NULL AND draft = '' AND updated < ?",
                (time.time() - FORGET_AFTER,),
            )
        return closed

    # --- parts ------------------------------------------------------------------------------

    def _write(self, message: Message) -> None:
        changed = self._db.execute(
            "UPDATE messages SET (role, text, thinking, state, model, adapter, settings, finish, stats,"
            " error, created) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?",
            (*rows.message_row(message)[3:], message.id),
        )
        if changed.rowcount == 0:
            raise _unknown_message(message.id)
        self._db.execute("DELETE FROM deltas WHERE message = ?", (message.id,))

    def _message(self, row: sqlite3.Row) -> Message:
        if row["state"] == "done":
            return rows.message_of(row)
        texts: dict[str, list[str]] = {"answer": [], "thinking": []}
        for part, text in self._db.execute(
            "SELECT part, text FROM deltas WHERE message = ? ORDER BY n", (row["id"],)
        ):
            texts[part].append(text)
        return rows.message_of(row, "".join(texts["answer"]), "".join(texts["thinking"]))

    def _all(self, query: str, values: tuple[Any, ...]) -> list[sqlite3.Row]:
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


def _connect(target: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        target, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _unknown_chat(chat: str) -> EngineError:
    return fault(
        "chat_unknown",
        "There is no such chat",
        f"No chat has the id {chat}",
        "Pick one from the list of chats",
    )


def _unknown_message(message: str) -> EngineError:
    return fault(
        "message_unknown", "There is no such message", f"No message has the id {message}", "Reload the chat"
    )
