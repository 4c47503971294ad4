"""Migrations: a copy first, all or nothing, and never backwards."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from engine.protocol.errors import EngineError
from engine.protocol.specs import ChatInfo, Message
from engine.store import Store
from engine.store.migrate import migrate, version_of
from engine.store.schema import MIGRATIONS, VERSION

NEXT = "ALTER TABLE chats ADD COLUMN colour TEXT NOT NULL DEFAULT 'red';"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of this version with one chat."""
    place = tmp_path / "qwill.db"
    store = Store.open(place)
    store.add_chat(ChatInfo("c", "Kept", created=1.0, updated=1.0))
    store.add_message(Message("u", "c", "user", "hello"))
    store.close()
    return place


def test_a_new_store_has_the_newest_version_and_no_copy(path: Path) -> None:
    connection = sqlite3.connect(path)
    assert version_of(connection) == VERSION == len(MIGRATIONS)
    connection.close()
    assert list(path.parent.glob("*.bak")) == []


def test_a_migration_copies_first_and_keeps_all(path: Path) -> None:
    connection = sqlite3.connect(path)
    migrate(connection, path, (*MIGRATIONS, NEXT))
    assert version_of(connection) == VERSION + 1
    assert connection.execute("SELECT title, colour FROM chats").fetchall() == [("Kept", "red")]
    connection.close()
    copy = path.with_name(f"qwill.db.v{VERSION}.bak")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    old = Store.open(copy)
    assert [chat.title for chat in old.chats()] == ["Kept"]
    old.close()


def test_a_failed_migration_changes_nothing(path: Path) -> None:
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, path, (*MIGRATIONS, NEXT + "ALTER TABLE absent ADD COLUMN x;"))
    connection.close()
    store = Store.open(path)
    assert store.chat("c").title == "Kept"
    assert "colour" not in [row[1] for row in store._db.execute("PRAGMA table_info(chats)")]
    store.close()


def test_an_older_program_refuses_a_newer_store_and_names_the_copy(path: Path) -> None:
    connection = sqlite3.connect(path)
    migrate(connection, path, (*MIGRATIONS, NEXT))
    connection.close()
    before = path.read_bytes()
    with pytest.raises(EngineError) as error:
        Store.open(path)
    info = error.value.info
    assert info.code == "store_newer"
    assert f"version {VERSION + 1}" in info.detail
    assert f"up to {VERSION}" in info.detail
    assert str(path.with_name(f"qwill.db.v{VERSION}.bak")) in info.remedy
    assert path.read_bytes() == before


def test_a_newer_store_without_a_copy_asks_for_an_update(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(EngineError) as error:
        Store.open(path)
    assert error.value.info.remedy == "Update Qwill"


def test_a_store_of_the_first_version_keeps_its_chats_and_gets_all_that_is_new(tmp_path: Path) -> None:
    place = tmp_path / "qwill.db"
    connection = sqlite3.connect(place)
    connection.executescript(f"{MIGRATIONS[0]} PRAGMA user_version = 1;")
    connection.executescript("""
        INSERT INTO chats (id, title, model, settings, head, draft, created, updated)
            VALUES ('c', 'Kept', 'demo', '{"think": false}', NULL, 'half a', 1.0, 2.0);
        INSERT INTO messages
            (id, chat, parent, role, text, thinking, state, model, adapter, settings, finish, created)
        VALUES
            ('u', 'c', NULL, 'user', 'Why does it jump?', '', 'done', '', '', NULL, NULL, 1.0),
            ('r', 'c', 'u', 'assistant', 'Three causes', 'warm-up', 'done', 'demo', '', '{}', 'stop', 2.0),
            ('s', 'c', 'u', 'assistant', '', '', 'thinking', 'demo', '', '{}', NULL, 3.0);
        INSERT INTO deltas VALUES ('s', 0, 'answer', 'cut o');
        UPDATE chats SET head = 'r';
    """)
    connection.close()
    store = Store.open(place)
    chat = store.chat("c")
    assert (chat.title, chat.draft, chat.head, chat.settings.think) == ("Kept", "half a", "r", False)
    assert (chat.tags, chat.archived, chat.view) == ((), False, "")
    question, reply = store.path("r")[0]
    assert (question.text, reply.text, reply.thinking) == ("Why does it jump?", "Three causes", "warm-up")
    assert (reply.mark, reply.origin, reply.source, reply.files, reply.extra) == ("", "", None, (), "")
    assert (reply.version, reply.versions, store.ids("r")) == (1, 2, ())
    assert [hit.message for hit in store.search("jump")] == ["u"]
    [cut] = store.recover()
    assert (cut.text, cut.finish) == ("cut o", "interrupted")
    store.mark("r", "good", "[]")
    store.delete_message("c", "s")
    assert store.message("r").versions == 1
    store.close()
    copy = sqlite3.connect(place.with_name("qwill.db.v1.bak"))
    assert version_of(copy) == 1
    copy.close()


def read(path: Path) -> None:
    store = Store.open(path)
    try:
        store.chats()
    finally:
        store.close()


@pytest.mark.parametrize("damage", ["not a database at all " * 500, "head", "middle"])
def test_a_damaged_file_is_said_with_the_remedy(path: Path, damage: str) -> None:
    data = bytearray(path.read_bytes())
    if damage == "head":
        data[:100] = b"\x00" * 100
    elif damage == "middle":
        data[4096:] = b"\xff" * (len(data) - 4096)
    else:
        data = bytearray(damage.encode())
    path.write_bytes(data)
    with pytest.raises(EngineError) as error:
        read(path)
    info = error.value.info
    assert info.code == "store_corrupt"
    assert str(path) in info.remedy


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    place = tmp_path / "qwill.db"
    place.touch(0o644)
    store = Store.open(place)
    assert store.chats() == []
    store.close()
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
