"""The tables of the store, one script a version. A released script is never edited: a change is a new one."""

from __future__ import annotations

from engine.store import summaries
from engine.store.index import FOLDED

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

_V2 = """
ALTER TABLE messages ADD COLUMN mark TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN source TEXT;
ALTER TABLE messages ADD COLUMN files TEXT;
ALTER TABLE messages ADD COLUMN extra TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN ids BLOB;
ALTER TABLE messages ADD COLUMN deleted REAL;
-- The message whose deletion took this one along, itself included: what a restore brings back.
ALTER TABLE messages ADD COLUMN deleted_with TEXT;
-- Of that message: the chat's head before, where it was taken along.
ALTER TABLE messages ADD COLUMN head_before TEXT;
CREATE INDEX messages_deleted ON messages(deleted_with) WHERE deleted_with IS NOT NULL;

ALTER TABLE chats ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
ALTER TABLE chats ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
ALTER TABLE chats ADD COLUMN view TEXT NOT NULL DEFAULT '';

-- `mark` is good, bad, or edited: an edited reply is an example even without a verdict.
CREATE TABLE marks (
    message  TEXT PRIMARY KEY REFERENCES messages(id) ON DELETE CASCADE,
    mark     TEXT NOT NULL,
    created  REAL NOT NULL,
    prompt   TEXT NOT NULL,
    settings TEXT,
    model    TEXT NOT NULL
) STRICT;
CREATE INDEX marks_created ON marks(created);

CREATE TABLE votes (
    id      INTEGER PRIMARY KEY,
    chat    TEXT NOT NULL REFERENCES chats(id) ON DELETE CASCADE,
    winner  TEXT REFERENCES messages(id) ON DELETE CASCADE,
    over    TEXT NOT NULL,
    all_bad INTEGER NOT NULL,
    created REAL NOT NULL
) STRICT;
"""

_IMAGES = "ALTER TABLE messages ADD COLUMN images TEXT;"

MIGRATIONS: tuple[str, ...] = (_V1, _V2, FOLDED, summaries.TABLE, _IMAGES)
"""Script n (from 0) takes a store of version n to n + 1."""

VERSION = len(MIGRATIONS)
"""`PRAGMA user_version` of a store that this program writes."""
