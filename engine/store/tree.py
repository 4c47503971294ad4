"""The tree of a chat's messages: which version is shown, deletes that can be undone, forks."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

from engine.protocol.errors import fault
from engine.protocol.specs import ChatInfo
from engine.store import rows
from engine.store.base import Base, unknown_chat, unknown_message

_BELOW = """
    WITH RECURSIVE down(id) AS (
        SELECT ?1
        UNION ALL
        SELECT n.id FROM messages n JOIN down ON n.parent = down.id
    )
"""
_ABOVE = """
    WITH RECURSIVE up(step, above, depth) AS (
        SELECT id, parent, 0 FROM messages WHERE id = ?
        UNION ALL
        SELECT n.id, n.parent, depth + 1 FROM messages n JOIN up ON n.id = up.above
    )
    SELECT m.id, m.state FROM messages m JOIN up ON up.step = m.id ORDER BY up.depth DESC
"""
_COPIED = "role, text, thinking, state, model, adapter, settings, finish, stats, error, created, origin"
_COPIED += ", files, extra, images, ids"


class TreeStore(Base):
    """Versions, deletes and forks."""

    def show(self, chat: str, message: str, by: int = 0) -> None:
        """Move the chat's head to the newest leaf under this message, or under a version `by` further on.

        Raises EngineError `message_unknown`.
        """
        with self._transaction():
            row = self._placed(chat, message)
            versions = self._siblings(row)
            place = versions.index(message) + by
            chosen = versions[max(0, min(place, len(versions) - 1))]
            self._set_head(chat, self._leaf(chosen))

    def set_head(self, chat: str, message: str) -> None:
        """Show the path that ends in this message. Raises EngineError `message_unknown`."""
        with self._transaction():
            self._placed(chat, message)
            self._set_head(chat, message)

    def below(self, message: str) -> frozenset[str]:
        """Ids of a message and of all under it."""
        return frozenset(row["id"] for row in self._all(f"{_BELOW} SELECT id FROM down", (message,)))

    def delete_message(self, chat: str, message: str) -> None:
        """Take a message and all under it off the tree, so that `restore_message` can bring them back.

        A head among them moves to the newest version beside the message, else to its parent. Raises
        EngineError `message_unknown`.
        """
        with self._transaction():
            row = self._placed(chat, message)
            head = self._db.execute("SELECT head FROM chats WHERE id = ?", (chat,)).fetchone()["head"]
            shown = head in self.below(message)
            self._db.execute(
                f"{_BELOW} UPDATE messages SET deleted = ?2, deleted_with = ?1"
                " WHERE deleted IS NULL AND id IN (SELECT id FROM down)",
                (message, time.time()),
            )
            if shown:
                self._db.execute("UPDATE messages SET head_before = ? WHERE id = ?", (head, message))
                left = self._siblings(row)
                self._set_head(chat, self._leaf(left[-1]) if left else row["parent"])

    def restore_message(self, chat: str, message: str) -> None:
        """Bring back what the deletion of this message took, and the head where it was then.

        Raises EngineError `message_unknown`, and `above_deleted` while a message above it is deleted.
        """
        with self._transaction():
            row = self._placed(chat, message, deleted=True)
            if row["deleted"] is None:
                return
            above = self._db.execute("SELECT deleted FROM messages WHERE id = ?", (row["parent"],)).fetchone()
            if row["deleted_with"] != message or (above is not None and above["deleted"] is not None):
                raise fault(
                    "above_deleted",
                    "This message cannot come back alone",
                    "A message above it is deleted too",
                    "Bring that one back first",
                )
            self._db.execute(
                "UPDATE messages SET deleted = NULL, deleted_with = NULL WHERE deleted_with = ?", (message,)
            )
            if row["head_before"] is not None:
                self._db.execute("UPDATE messages SET head_before = NULL WHERE id = ?", (message,))
                self._set_head(chat, row["head_before"])

    def fork(self, chat: str, message: str, copy: ChatInfo, new_id: Callable[[], str]) -> None:
        """Store the chat `copy`, with the path from the root to this message under new ids; without marks.

        Raises EngineError `message_unknown`, and `reply_grows` while something on the path is still written.
        """
        with self._transaction():
            self._placed(chat, message)
            path = self._db.execute(_ABOVE, (message,)).fetchall()
            if any(row["state"] != "done" for row in path):
                raise fault(
                    "reply_grows", "The reply is still being written", remedy="Stop it, or wait for its end"
                )
            self._db.execute(
                f"INSERT INTO chats ({rows.CHAT_COLUMNS}) VALUES ({rows.CHAT_VALUES})", rows.chat_row(copy)
            )
            parent: str | None = None
            for row in path:
                parent = self._copy(row["id"], new_id(), copy.id, parent)
            self._set_head(copy.id, parent)

    def ids(self, message: str) -> tuple[int, ...]:
        """The tokens of a reply as they were generated; empty where they are not known."""
        found = self._all("SELECT ids FROM messages WHERE id = ?", (message,))
        return rows.ids_of(found[0]["ids"]) if found else ()

    # --- parts ------------------------------------------------------------------------------

    def _placed(self, chat: str, message: str, *, deleted: bool = False) -> sqlite3.Row:
        """A message's place and deletion. Raises EngineError `chat_unknown` or `message_unknown`."""
        if not self._db.execute("SELECT 1 FROM chats WHERE id = ? AND deleted IS NULL", (chat,)).fetchone():
            raise unknown_chat(chat)
        row: sqlite3.Row | None = self._db.execute(
            "SELECT chat, parent, role, deleted, deleted_with, head_before FROM messages"
            " WHERE id = ? AND chat = ? AND (deleted IS NULL OR ?)",
            (message, chat, deleted),
        ).fetchone()
        if row is None:
            raise unknown_message(message)
        return row

    def _siblings(self, row: sqlite3.Row) -> list[str]:
        """Ids of the versions at this place, oldest first."""
        found = self._db.execute(
            "SELECT id FROM messages WHERE chat = ? AND parent IS ? AND role = ? AND deleted IS NULL"
            " ORDER BY seq",
            (row["chat"], row["parent"], row["role"]),
        )
        return [sibling["id"] for sibling in found]

    def _leaf(self, message: str) -> str:
        """Down from a message, always to the newest below."""
        while found := self._db.execute(
            "SELECT id FROM messages WHERE parent = ? AND deleted IS NULL ORDER BY seq DESC LIMIT 1",
            (message,),
        ).fetchone():
            message = found["id"]
        return message

    def _set_head(self, chat: str, message: str | None) -> None:
        self._db.execute("UPDATE chats SET head = ? WHERE id = ?", (message, chat))

    def _copy(self, old: str, new: str, chat: str, parent: str | None) -> str:
        self._db.execute(
            f"INSERT INTO messages (id, chat, parent, {_COPIED})"
            f" SELECT ?, ?, ?, {_COPIED} FROM messages WHERE id = ?",
            (new, chat, parent, old),
        )
        return new
