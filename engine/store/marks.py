"""Marks and votes: what a person thought of replies, with the prompts that they answered."""

from __future__ import annotations

import sqlite3
import time
from typing import NamedTuple

import msgspec

from engine.protocol.specs import Mark, Message
from engine.store import rows
from engine.store.base import Base

LONGEST = 500_000
"""Bytes of texts in a dataset's row at most: datasets have lines of at most 1 MiB, with what JSON adds."""


def _octets(*columns: str) -> str:
    """SQL: the bytes of these texts together."""
    return " + ".join(f"length(CAST({column} AS BLOB))" for column in columns)


_KNOWN = """
    JOIN marks k ON k.message = m.id
    JOIN chats c ON c.id = m.chat
    WHERE m.deleted IS NULL AND c.deleted IS NULL
"""
_MARKED = rows.select_message("k.mark AS kind, k.prompt, c.title")
_QUESTION = """
    WITH RECURSIVE up(id, above, role, text, depth) AS (
        SELECT id, parent, role, text, 0 FROM messages WHERE id = ?
        UNION ALL
        SELECT n.id, n.parent, n.role, n.text, depth + 1 FROM messages n
        JOIN up ON n.id = up.above WHERE up.role <> 'user'
    )
    SELECT text FROM up WHERE role = 'user' ORDER BY depth LIMIT 1
"""
_BESIDE = f"""
    FROM messages a JOIN messages b ON b.chat = a.chat
    JOIN chats c ON c.id = a.chat
    LEFT JOIN marks k ON k.message = a.id
    WHERE a.deleted IS NULL AND b.deleted IS NULL AND c.deleted IS NULL
      AND a.role = 'assistant' AND b.role = 'assistant'
      AND trim(a.text) <> '' AND trim(b.text) <> '' AND a.text <> b.text
      AND {_octets("a.text", "a.thinking", "b.text", "b.thinking", "coalesce(k.prompt, '')")} <= {LONGEST}
"""
_PAIRS = f"""
    SELECT chosen, rejected, min(at) AS first FROM (
        SELECT a.id AS chosen, b.id AS rejected, k.created AS at {_BESIDE}
          AND b.id = a.source AND a.origin = 'edited' AND k.mark IN ('good', 'edited')
        UNION ALL
        SELECT a.id, b.id, max(k.created, l.created)
          {_BESIDE.replace("WHERE", "JOIN marks l ON l.message = b.id WHERE", 1)}
          AND b.parent IS a.parent AND k.mark IN ('good', 'edited') AND l.mark = 'bad'
        UNION ALL
        SELECT a.id, b.id, v.created
          {_BESIDE.replace("WHERE", "JOIN votes v ON v.winner = a.id WHERE", 1)}
          AND b.id IN (SELECT value FROM json_each(v.over))
    ) GROUP BY chosen, rejected ORDER BY first, chosen, rejected LIMIT ? OFFSET ?
"""


class Example(NamedTuple):
    """One marked or edited reply."""

    message: Message
    kind: str
    """`good`, `bad` or `edited`."""
    prompt: str
    """JSON: the list of messages that it answers."""
    title: str


class MarkStore(Base):
    """Marks, the pairs that follow from them, and votes."""

    def mark(self, message: str, mark: Mark, prompt: str) -> Message:
        """Mark a reply, or take its mark away; returns it as it is then.

        `prompt` is kept from the first time. Raises EngineError `message_unknown`.
        """
        with self._transaction():
            marked = msgspec.structs.replace(self.message(message), mark=mark)
            self._db.execute("UPDATE messages SET mark = ? WHERE id = ?", (mark, message))
            if kind := mark or ("edited" if marked.origin == "edited" else ""):
                self._remember(marked, kind, prompt)
            else:
                self._db.execute("DELETE FROM marks WHERE message = ?", (message,))
        return marked

    def marked(self, limit: int, offset: int = 0) -> tuple[list[Example], int]:
        """Marked and edited replies, newest first; and how many there are in all."""
        found = self._all(
            f"{_MARKED} {_KNOWN} ORDER BY k.created DESC, k.rowid DESC LIMIT ? OFFSET ?", (limit, offset)
        )
        total = self._all(f"SELECT count(*) AS n FROM messages m {_KNOWN}")[0]["n"]
        return [_example(row) for row in found], total

    def examples(self, kinds: tuple[str, ...], limit: int, offset: int = 0) -> list[Example]:
        """Replies of these kinds that say something and fit in a row, in the order of their marks."""
        found = self._all(
            f"{_MARKED} {_KNOWN} AND trim(m.text) <> '' AND k.mark IN (SELECT value FROM json_each(?))"
            f" AND {_octets('m.text', 'm.thinking', 'k.prompt')} <= {LONGEST}"
            " ORDER BY k.created, k.rowid LIMIT ? OFFSET ?",
            (msgspec.json.encode(kinds).decode(), limit, offset),
        )
        return [_example(row) for row in found]

    def pairs(self, limit: int, offset: int = 0) -> list[tuple[str, str]]:
        """Ids of a reply and of one it is better than: edits, good beside bad versions, votes."""
        return [(row["chosen"], row["rejected"]) for row in self._all(_PAIRS, (limit, offset))]

    def prompt(self, message: str) -> str:
        """The prompt that a marked reply answered, as JSON; empty where none was stored."""
        found = self._all("SELECT prompt FROM marks WHERE message = ?", (message,))
        return found[0]["prompt"] if found else ""

    def question(self, message: str) -> str:
        """The newest user's message above this one; empty where there is none."""
        found = self._all(_QUESTION, (message,))
        return found[0]["text"] if found else ""

    def vote(self, chat: str, winner: str | None, over: tuple[str, ...], *, all_bad: bool) -> None:
        """Store that one reply is better than the others; without a winner, that none is."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO votes (chat, winner, over, all_bad, created) VALUES (?, ?, ?, ?, ?)",
                (chat, winner, msgspec.json.encode(over).decode(), all_bad, time.time()),
            )

    # --- parts ------------------------------------------------------------------------------

    def _remember(self, message: Message, kind: str, prompt: str) -> None:
        settings = None if message.settings is None else msgspec.json.encode(message.settings).decode()
        self._db.execute(
            "INSERT INTO marks (message, mark, created, prompt, settings, model) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (message) DO UPDATE SET mark = excluded.mark, created = excluded.created",
            (message.id, kind, time.time(), prompt, settings, message.model),
        )


def _example(row: sqlite3.Row) -> Example:
    return Example(rows.message_of(row), row["kind"], row["prompt"], row["title"])
