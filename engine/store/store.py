"""Chats and their messages in one SQLite file."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import msgspec

from engine.protocol.commands import Hit
from engine.protocol.specs import ChatInfo, Message, Part
from engine.store import health, rows, search, summaries, whole
from engine.store.base import MEMORY, unknown_chat, unknown_message
from engine.store.errors import spoken
from engine.store.marks import MarkStore
from engine.store.migrate import migrate
from engine.store.tree import TreeStore
from engine.vitals import Told

BUSY_MS = 5000
FORGET_AFTER = 86_400.0
"""Seconds until a chat that nothing was ever said in is dropped at a start."""
_WALK = f"""
    WITH RECURSIVE up(step, above, depth) AS (
        SELECT id, parent, 0 FROM messages WHERE id = ?
        UNION ALL
        SELECT n.id, n.parent, depth + 1 FROM messages n JOIN up ON n.id = up.above WHERE depth < ?
    )
    {rows.SELECT_MESSAGE} JOIN up ON up.step = m.id ORDER BY up.depth
"""


class Store(TreeStore, MarkStore):
    """All of a store; see Base for what its methods raise."""

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
        connection = _connect(MEMORY)
        migrate(connection, None)
        return cls(connection, Path(MEMORY))

    def close(self) -> None:
        """Close the file; the write-ahead log is folded into it."""
        self._db.close()

    # --- chats ------------------------------------------------------------------------------

    def chats(
        self, limit: int = 50, offset: int = 0, *, archived: bool = False, tag: str = ""
    ) -> list[ChatInfo]:
        """Chats with at least one message, the last changed first; archived ones too when asked for.

        `tag` leaves only those that have it.
        """
        found = self._all(
            f"SELECT {rows.CHAT_COLUMNS} FROM chats WHERE deleted IS NULL AND head IS NOT NULL"
            " AND archived <= ?1 AND (?2 = '' OR EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?2))"
            " ORDER BY updated DESC, rowid DESC LIMIT ?3 OFFSET ?4",
            (archived, tag, limit, offset),
        )
        return [rows.chat_of(row, self._saved) for row in found]

    def chat(self, id: str) -> ChatInfo:  # noqa: A002
        """One chat. Raises EngineError `chat_unknown`, for one in the trash too."""
        found = self._all(f"SELECT {rows.CHAT_COLUMNS} FROM chats WHERE id = ? AND deleted IS NULL", (id,))
        if not found:
            raise unknown_chat(id)
        return rows.chat_of(found[0], self._saved)

    def has_chat(self, chat: str) -> bool:
        """Whether there is a chat of this id, in the trash too."""
        return bool(self._all("SELECT 1 FROM chats WHERE id = ?", (chat,)))

    def add_chat(self, info: ChatInfo) -> None:
        """A new, empty chat; `chats` shows it from its first message on."""
        with self._transaction():
            self._db.execute(
                f"INSERT INTO chats ({rows.CHAT_COLUMNS}) VALUES ({rows.CHAT_VALUES})",
                rows.chat_row(info),
            )

    def change_chat(self, id: str, **fields: Any) -> ChatInfo:  # noqa: A002
        """Set fields of a chat; returns it as it is then. Raises EngineError `chat_unknown`."""
        with self._transaction():
            info = msgspec.structs.replace(self.chat(id), **fields)
            self._db.execute(
                f"UPDATE chats SET ({rows.CHAT_COLUMNS}) = ({rows.CHAT_VALUES}) WHERE id = ?",
                (*rows.chat_row(info), id),
            )
        return info

    def delete_chat(self, id: str, restore: bool = False) -> None:  # noqa: A002
        """Move a chat to the trash, or back. Raises EngineError `chat_unknown`."""
        with self._transaction():
            changed = self._db.execute(
                "UPDATE chats SET deleted = ? WHERE id = ?", (None if restore else time.time(), id)
            )
            if changed.rowcount == 0:
                raise unknown_chat(id)

    # --- messages ---------------------------------------------------------------------------

    def add_message(self, message: Message, *, head: bool = True, prompt: str = "") -> Message:
        """Store a message, as its chat's head or beside it; returns it with `version` and `versions`.

        `prompt` is given with a reply that was edited: it counts as marked from now on. It is all on the disk
        when this returns. Raises EngineError `chat_unknown`.
        """
        with self._transaction():
            self._insert(message, head=head)
            if prompt:
                self._remember(message, "edited", prompt)
        return self.message(message.id)

    def append(self, message: str, part: Part, text: str) -> None:
        """More text of a live message. A killed engine loses none of it, a power cut the last moment."""
        with self._transaction(durable=False):
            self._db.execute(
                "INSERT INTO deltas (message, n, part, text)"
                " SELECT ?, coalesce(max(n) + 1, 0), ?, ? FROM deltas WHERE message = ?",
                (message, part, text, message),
            )

    def finish(self, message: Message, ids: tuple[int, ...] = ()) -> Message:
        """Write a message as it ended, with its tokens, and drop its deltas; returns it with its version."""
        with self._transaction():
            self._write(message)
            self._db.execute("UPDATE messages SET ids = ? WHERE id = ?", (rows.ids_row(ids), message.id))
        # It may have been deleted while the disk was full.
        return self._message(self._all(f"{rows.SELECT_MESSAGE} WHERE m.id = ?", (message.id,))[0])

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
            raise unknown_message(start)
        return [self._message(row) for row in reversed(found[:limit])], len(found) > limit

    def search(self, query: str, limit: int = 50) -> list[Hit]:
        """Messages and thoughts that hold these words, best first."""
        with spoken(self._path):
            return search.search(self._db, query, limit)

    # --- summaries --------------------------------------------------------------------------

    def summaries(self, chat: str) -> dict[str, str]:
        """Texts by the id of the last message that each one stands for."""
        with spoken(self._path):
            return summaries.read(self._db, chat)

    def keep_summary(self, chat: str, upto: str, text: str) -> None:
        """Store what stands for all messages up to this one."""
        with self._transaction():
            summaries.keep(self._db, chat, upto, text)

    def told(self, limit: int) -> list[Told]:
        """Statistics of the newest replies, newest first, deleted ones too."""
        with spoken(self._path):
            return health.read(self._db, limit)

    def images(self) -> frozenset[str]:
        """Ids of the images of all messages, deleted ones too: a restore brings those back."""
        found = self._all("SELECT images FROM messages WHERE images IS NOT NULL", ())
        return frozenset(image.id for row in found for image in rows.images_of(row["images"]))

    def questions(self, limit: int, longest: int) -> list[str]:
        """What chats were begun with, newest first, each text once; none with a file, none longer than
        `longest` characters."""
        found = self._all(
            "SELECT m.text FROM messages m JOIN chats c ON c.id = m.chat WHERE c.deleted IS NULL"
            " AND m.parent IS NULL AND m.role = 'user' AND m.deleted IS NULL AND m.files IS NULL"
            " AND m.images IS NULL AND length(m.text) BETWEEN 1 AND ? GROUP BY m.text"
            " ORDER BY max(m.created) DESC LIMIT ?",
            (longest, limit),
        )
        return [row["text"] for row in found]

    # --- whole chats ------------------------------------------------------------------------

    def tree(self, chat: str, after: str | None, limit: int) -> tuple[list[Message], bool]:
        """At most `limit` messages of a chat in the order they were stored, those after one of them; and
        whether others follow. Raises EngineError `message_unknown`."""
        seq = 0
        if after is not None:
            found = self._all("SELECT seq FROM messages WHERE id = ? AND chat = ?", (after, chat))
            if not found:
                raise unknown_message(after)
            seq = found[0]["seq"]
        found = self._all(f"{rows.SELECT_MESSAGE}{whole.TREE}", (chat, seq, limit + 1))
        return [self._message(row) for row in found[:limit]], len(found) > limit

    def stage_chat(self, info: ChatInfo) -> None:
        """Begin a chat that `put_messages` fills; nobody sees it before its last page."""
        with self._transaction():
            whole.stage(self._db, info)

    def put_messages(
        self, chat: str, messages: tuple[Message, ...], last: bool = False, head: str | None = None
    ) -> None:
        """One page of a chat that was begun; with `last` it appears. Raises EngineError `chat_unknown` or
        `messages_unfit`."""
        with self._transaction():
            whole.put(self._db, chat, messages)
            if last:
                whole.show(self._db, chat, head)

    def recover(self) -> list[Message]:
        """At an engine's start: close the replies that a killed one left live (deltas joined in, finish
        `interrupted`) and return them; drop chats of another day that nothing was said in."""
        with self._transaction():
            found = self._db.execute(
                f"{rows.SELECT_MESSAGE} WHERE m.state <> 'done' ORDER BY m.seq"
            ).fetchall()
            closed = [
                msgspec.structs.replace(self._message(row), state="done", finish="interrupted")
                for row in found
            ]
            for message in closed:
                self._write(message)
            whole.drop_staged(self._db)
            self._db.execute(
                "DELETE FROM chats WHERE head IS NULL AND draft = '' AND updated < ?"
                " AND NOT EXISTS (SELECT 1 FROM messages WHERE chat = chats.id)",
                (time.time() - FORGET_AFTER,),
            )
        return closed

    # --- parts ------------------------------------------------------------------------------

    def _write(self, message: Message) -> None:
        changed = self._db.execute(
            f"UPDATE messages SET ({rows.MESSAGE_COLUMNS}) = ({rows.MESSAGE_VALUES}) WHERE id = ?",
            (*rows.message_row(message), message.id),
        )
        if changed.rowcount == 0:
            raise unknown_message(message.id)
        self._db.execute("DELETE FROM deltas WHERE message = ?", (message.id,))


def _connect(target: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        target, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    return connection
