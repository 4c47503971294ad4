"""Full-text search over messages and thoughts. Whatever a person types is words, never a query language."""

from __future__ import annotations

import sqlite3

import msgspec

from engine.protocol.commands import Hit
from engine.store.excerpt import Excerpt, excerpt, find
from engine.store.fold import fold, phrase

TITLES = 10
"""Chats found by their title or tags at most; they come before the messages."""
_BEST = """
    SELECT m.id AS message, m.chat, m.role, m.created, m.text, m.thinking, c.title, c.tags, c.archived
    FROM (
        SELECT folded.rowid AS seq, bm25(folded, 2.0, 1.0) AS rank FROM folded
        JOIN messages i ON i.seq = folded.rowid
        JOIN chats d ON d.id = i.chat
        WHERE folded MATCH ?1 AND d.deleted IS NULL AND i.deleted IS NULL
        ORDER BY rank, folded.rowid DESC LIMIT ?2
    ) best
    JOIN messages m ON m.seq = best.seq
    JOIN chats c ON c.id = m.chat
    ORDER BY best.rank, best.seq DESC
"""
"""The best are chosen first: the texts of every match would take most of the time."""
_TITLES = """
    SELECT id AS chat, head AS message, title, tags, archived, updated AS created FROM chats
    WHERE deleted IS NULL AND head IS NOT NULL ORDER BY updated DESC
"""


def search(connection: sqlite3.Connection, query: str, limit: int) -> list[Hit]:
    """Chats by title or tags, then messages that hold all these words, best first.

    Case, accents and width do not matter; every word may be the beginning of one.
    """
    typed = query.replace("\x00", " ").split()
    phrases = [words for term in typed if (words := phrase(term))]
    if not phrases:
        return []
    hits = _titles(connection, phrases)[:limit]
    match = " ".join(map(_quoted, phrases))
    terms = [*(fold(term) for term in typed), *(words[0] for words in phrases)]
    hits += [_hit(row, terms) for row in connection.execute(_BEST, (match, limit - len(hits)))]
    return hits


def _quoted(words: list[str]) -> str:
    """A phrase whose last word may go on; what `phrase` leaves holds no quotes."""
    return f'"{" ".join(words)}"*'


def _titles(connection: sqlite3.Connection, phrases: list[list[str]]) -> list[Hit]:
    wanted = [f" {' '.join(words)}" for words in phrases]
    hits: list[Hit] = []
    for row in connection.execute(_TITLES):
        tags = _tags(row)
        name = f" {' '.join(phrase(' '.join((row['title'], *tags)) + ' .'))}"
        if all(word in name for word in wanted):
            hits.append(_made(row, "title", Excerpt(" ".join(f"#{tag}" for tag in tags), 0, 0)))
            if len(hits) == TITLES:
                break
    return hits


def _hit(row: sqlite3.Row, terms: list[str]) -> Hit:
    part = "thinking" if find(row["text"], terms) is None and find(row["thinking"], terms) else "answer"
    text = row["thinking"] if part == "thinking" else row["text"]
    return _made(row, part, excerpt(text, terms), role=row["role"])


def _made(row: sqlite3.Row, part: str, piece: Excerpt, role: str = "") -> Hit:
    return Hit(
        row["chat"],
        row["title"],
        row["message"],
        part,
        piece.words,
        piece.start,
        piece.end,
        role=role,
        created=row["created"],
        tags=_tags(row),
        archived=bool(row["archived"]),
    )


def _tags(row: sqlite3.Row) -> tuple[str, ...]:
    return msgspec.json.decode(row["tags"], type=tuple[str, ...])
