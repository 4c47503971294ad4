"""The tables of the store, one script a version. A released script is never edited: a change is a new one."""

from __future__ import annotations

_V1 = """
CREATE TABLE chats (
    id       TEXT PRIMARY KEY,
    title    TEXT NOT NULL DEFAULT '',
    model    TEXT NOT NULL DEFAULT '',
    settings TEXT NOT NULL DEFAULT '{}',
    head     TEXT REFERENCES messages(id) DEFERRABLE INITIALLY DEFERRED,
    draft    TEXT NOT NULL DEFAULT '',
    created  REAL NOT NULL,
    updated  REAL NOT NULL,
    deleted  REAL
) STRICT;
CREATE INDEX chats_updated ON chats(updated DESC) WHERE deleted IS NULL;

CREATE TABLE messages (
    seq      INTEGER PRIMARY KEY,
    id       TEXT NOT NULL UNIQUE,
    chat     TEXT NOT NULL REFERENCES chats(id),
    parent   TEXT REFERENCES messages(id),
    role     TEXT NOT NULL,
    text     TEXT NOT NULL,
    thinking TEXT NOT NULL,
    state    TEXT NOT NULL,
    model    TEXT NOT NULL,
    adapter  TEXT NOT NULL,
    settings TEXT,
    finish   TEXT,
    stats    TEXT,
    error    TEXT,
    created  REAL NOT NULL
) STRICT;
CREATE INDEX messages_siblings ON messages(chat, parent, role, seq);
CREATE INDEX messages_parent ON messages(parent);
CREATE INDEX messages_live ON messages(state) WHERE state <> 'done';

CREATE TABLE deltas (
    message TEXT NOT NULL REFERENCES messages(id),
    n       INTEGER NOT NULL,
    part    TEXT NOT NULL,
    text    TEXT NOT NULL,
    PRIMARY KEY (message, n)
) STRICT, WITHOUT ROWID;

CREATE VIRTUAL TABLE words USING fts5(
    text, thinking, content='messages', content_rowid='seq', tokenize='unicode61 remove_diacritics 2'
);
CREATE TRIGGER words_insert AFTER INSERT ON messages BEGIN
    INSERT INTO words(rowid, text, thinking) VALUES (new.seq, new.text, new.thinking);
END;
CREATE TRIGGER words_delete AFTER DELETE ON messages BEGIN
    INSERT INTO words(words, rowid, text, thinking) VALUES ('delete', old.seq, old.text, old.thinking);
END;
CREATE TRIGGER words_update AFTER UPDATE OF text, thinking ON messages BEGIN
    INSERT INTO words(words, rowid, text, thinking) VALUES ('delete', old.seq, old.text, old.thinking);
    INSERT INTO words(rowid, text, thinking) VALUES (new.seq, new.text, new.thinking);
END;
"""

MIGRATIONS: tuple[str, ...] = (_V1,)
"""Script n (from 0) takes a store of version n to n + 1."""

VERSION = len(MIGRATIONS)
"""`PRAGMA user_version` of a store that this program writes."""
