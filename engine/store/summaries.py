"""Summaries that stand in prompts for the oldest messages of a chat, each for all up to one message."""

from __future__ import annotations

import sqlite3

TABLE = """
CREATE TABLE summaries (
    chat TEXT NOT NULL REFERENCES chats(id) ON DELETE CASCADE,
    upto TEXT NOT NULL REFERENCES messages(id) ON DELETE CASCADE,
    text TEXT NOT NULL,
    PRIMARY KEY (chat, upto)
) STRICT, WITHOUT ROWID;
"""


def read(connection: sqlite3.Connection, chat: str) -> dict[str, str]:
    """The chat's summaries by the id of the last message that each one stands for."""
    found = connection.execute("SELECT upto, text FROM summaries WHERE chat = ?", (chat,))
    return {row["upto"]: row["text"] for row in found}


def keep(connection: sqlite3.Connection, chat: str, upto: str, text: str) -> None:
    """Store one; it replaces an older one of the same messages."""
    connection.execute("INSERT OR REPLACE INTO summaries VALUES (?, ?, ?)", (chat, upto, text))
