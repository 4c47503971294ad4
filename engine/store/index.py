"""The full-text index over folded words: its script, and the function that its triggers call."""

from __future__ import annotations

import sqlite3

from engine.store.fold import words

FOLDED = """
DROP TRIGGER words_insert;
DROP TRIGGER words_delete;
DROP TRIGGER words_update;
DROP TABLE words;
CREATE VIEW folds AS
    SELECT seq, qwill_words(text) AS text, qwill_words(thinking) AS thinking FROM messages;
CREATE VIRTUAL TABLE folded USING fts5(
    text, thinking, content='folds', content_rowid='seq', tokenize='ascii', prefix='1 2 3'
);
INSERT INTO folded(folded) VALUES ('rebuild');
CREATE TRIGGER folded_insert AFTER INSERT ON messages BEGIN
    INSERT INTO folded(rowid, text, thinking)
    VALUES (new.seq, qwill_words(new.text), qwill_words(new.thinking));
END;
CREATE TRIGGER folded_delete AFTER DELETE ON messages BEGIN
    INSERT INTO folded(folded, rowid, text, thinking)
    VALUES ('delete', old.seq, qwill_words(old.text), qwill_words(old.thinking));
END;
CREATE TRIGGER folded_update AFTER UPDATE OF text, thinking ON messages
WHEN old.text <> new.text OR old.thinking <> new.thinking BEGIN
    INSERT INTO folded(folded, rowid, text, thinking)
    VALUES ('delete', old.seq, qwill_words(old.text), qwill_words(old.thinking));
    INSERT INTO folded(rowid, text, thinking)
    VALUES (new.seq, qwill_words(new.text), qwill_words(new.thinking));
END;
"""
"""Words are kept in the transaction that keeps their message; the text itself is not stored twice."""


def prepare(connection: sqlite3.Connection) -> None:
    """Give a connection what the triggers of the index call. Needed before a script or a write."""
    connection.create_function("qwill_words", 1, words, deterministic=True)
    connection.execute("PRAGMA trusted_schema = ON")  # some systems ship SQLite with it off
