"""Full-text search over messages and thoughts. Whatever a person types is words, never a query language."""

from __future__ import annotations

import sqlite3
import unicodedata

from engine.protocol.commands import Hit

_MARK = "\x01"
_WORDS = f"""
    SELECT m.id AS message, m.chat, c.title,
        snippet(words, 0, '{_MARK}', '{_MARK}', '…', 16) AS in_text,
        snippet(words, 1, '{_MARK}', '{_MARK}', '…', 16) AS in_thinking
    FROM words
    JOIN messages m ON m.seq = words.rowid
    JOIN chats c ON c.id = m.chat
    WHERE words MATCH ?1 AND words.rowid IN (
        SELECT w.rowid FROM words w
        JOIN messages i ON i.seq = w.rowid
        JOIN chats d ON d.id = i.chat
        WHERE w.words MATCH ?1 AND d.deleted IS NULL
        ORDER BY bm25(words, 2.0, 1.0), w.rowid DESC
        LIMIT ?2
    )
    ORDER BY bm25(words, 2.0, 1.0), m.seq DESC
"""
"""The best are chosen first: a snippet of every match would take most of the time."""
_PLAIN = """
    SELECT m.id AS message, m.chat, c.title, m.text, m.thinking
    FROM messages m JOIN chats c ON c.id = m.chat
    WHERE c.deleted IS NULL AND {terms}
    ORDER BY m.seq DESC LIMIT ?
"""
_AROUND = 60


def search(connection: sqlite3.Connection, query: str, limit: int) -> list[Hit]:
    """Messages that hold all these words, best first; the last word may be the beginning of one.

    Words of scripts written without spaces are looked for as plain text: the index has no borders there.
    """
    terms = [term for term in query.replace("\x00", " ").split() if any(map(str.isalnum, term))]
    if not terms:
        return []
    if any(map(_unspaced, query)):
        return _plain(connection, terms, limit)
    match = " ".join(map(_quoted, terms)) + "*"
    return [_hit(row) for row in connection.execute(_WORDS, (match, limit))]


def _quoted(term: str) -> str:
    return '"' + term.replace('"', '""') + '"'


def _hit(row: sqlite3.Row) -> Hit:
    part, excerpt = "answer", row["in_text"]
    if _MARK not in excerpt and _MARK in row["in_thinking"]:
        part, excerpt = "thinking", row["in_thinking"]
    return _made(row, part, excerpt.replace(_MARK, ""))


def _plain(connection: sqlite3.Connection, terms: list[str], limit: int) -> list[Hit]:
    clause = " AND ".join("(instr(m.text, ?) OR instr(m.thinking, ?))" for _ in terms)
    values = [value for term in terms for value in (term, term)]
    hits: list[Hit] = []
    for row in connection.execute(_PLAIN.format(terms=clause), (*values, limit)):
        part = "answer" if terms[0] in row["text"] else "thinking"
        text = row["text"] if part == "answer" else row["thinking"]
        place = text.find(terms[0])
        start, end = max(0, place - _AROUND), place + _AROUND
        excerpt = ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")
        hits.append(_made(row, part, excerpt))
    return hits


def _made(row: sqlite3.Row, part: str, excerpt: str) -> Hit:
    return Hit(row["chat"], row["title"], row["message"], part, " ".join(excerpt.split()))


def _unspaced(character: str) -> bool:
    """Whether a character's script sets no spaces between words (Chinese, Japanese, Thai and kin)."""
    if character.isascii():
        return False
    name = unicodedata.name(character, "")
    return name.startswith(("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR"))
