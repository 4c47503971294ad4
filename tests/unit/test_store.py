"""The store: what was acknowledged is there again, whatever ended the engine."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from engine.protocol.errors import EngineError, ErrorInfo
from engine.protocol.specs import ChatInfo, ChatSettings, Message, ReplyStats, Sampling
from engine.store import Store
from engine.store import store as store_module

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "qwill.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = Store.open(path)
    opened.add_chat(ChatInfo("c", title="Sums", created=1.0, updated=1.0))
    yield opened
    opened.close()


def user(id_: str, parent: str | None = None, text: str = "hello", chat: str = "c") -> Message:
    return Message(id_, chat, "user", text, parent=parent, created=2.0)


def reply(id_: str, parent: str, **fields: object) -> Message:
    message = Message(id_, "c", "assistant", parent=parent, state="queued", created=3.0)
    return msgspec.structs.replace(message, **fields)


def code_of(error: pytest.ExceptionInfo[EngineError]) -> str:
    assert error.value.info.title
    assert error.value.info.remedy
    return error.value.info.code


def test_everything_of_a_chat_and_a_message_comes_back(store: Store, path: Path) -> None:
    settings = ChatSettings(system="Be brief", think=False, sampling=Sampling(temperature=0.0, seed=7))
    chat = ChatInfo("d", "Title", "demo", 1.5, 9.5, None, settings, "half a thou")
    store.add_chat(chat)
    done = Message(
        "r",
        "d",
        "assistant",
        "Four\x00 🦊",
        "hm",
        "u",
        "done",
        3.0,
        "demo",
        "pirate",
        settings,
        "failed",
        ReplyStats(prompt_tokens=3, tokens=5, ttft_ms=1.5),
        ErrorInfo("out_of_memory", "It did not fit"),
    )
    store.add_message(user("u", chat="d"))
    store.add_message(done)
    store.close()
    again = Store.open(path)
    assert again.message("r") == done
    assert again.chat("d") == msgspec.structs.replace(chat, head="r")
    again.close()


def test_files_are_private_from_the_first_byte(store: Store, path: Path) -> None:
    store.add_message(user("u"))
    names = sorted(file.name for file in path.parent.iterdir())
    assert names == ["qwill.db", "qwill.db-shm", "qwill.db-wal"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def test_list_has_the_newest_first_and_no_empty_or_deleted_chats(store: Store) -> None:
    for number in range(5):
        store.add_chat(ChatInfo(f"n{number}", created=1.0, updated=1.0))
    for number in (2, 0, 3):
        store.add_message(
            msgspec.structs.replace(user(f"u{number}", chat=f"n{number}"), created=10.0 - number)
        )
    assert [chat.id for chat in store.chats()] == ["n0", "n2", "n3"]
    assert [chat.id for chat in store.chats(1, 1)] == ["n2"]
    store.delete_chat("n0")
    assert [chat.id for chat in store.chats()] == ["n2", "n3"]
    with pytest.raises(EngineError) as error:
        store.chat("n0")
    assert code_of(error) == "chat_unknown"
    store.delete_chat("n0", restore=True)
    assert store.chat("n0").head == "u0"


def test_a_message_moves_the_head_and_the_time(store: Store) -> None:
    store.add_message(user("u"))
    assert (store.chat("c").head, store.chat("c").updated) == ("u", 2.0)


def test_unknown_chats_and_messages_are_named(store: Store) -> None:
    for call in (
        lambda: store.chat("x"),
        lambda: store.change_chat("x", title="New"),
        lambda: store.delete_chat("x"),
        lambda: store.add_message(user("u", chat="x")),
    ):
        with pytest.raises(EngineError) as error:
            call()
        assert code_of(error) == "chat_unknown"
    for call in (
        lambda: store.message("x"),
        lambda: store.set_head("c", "x"),
        lambda: store.path("x"),
        lambda: store.path("u", before="x"),
        lambda: store.finish(user("x")),
    ):
        with pytest.raises(EngineError) as error:
            call()
        assert code_of(error) == "message_unknown"


def test_a_failed_call_leaves_nothing_behind(store: Store) -> None:
    store.add_message(user("u"))
    with pytest.raises(sqlite3.IntegrityError):
        store.add_message(user("u", text="again"))
    assert store.message("u").text == "hello"
    assert store.chat("c").head == "u"


def test_deltas_join_in_order_and_finish_replaces_them(store: Store) -> None:
    store.add_message(user("u"))
    store.add_message(reply("r", "u"))
    for part, text in (("thinking", "h"), ("thinking", "m"), ("answer", "Fo"), ("answer", "ur")):
        store.append("r", part, text)
    live = store.message("r")
    assert (live.thinking, live.text, live.state) == ("hm", "Four", "queued")
    assert store.path("r")[0][-1] == live
    done = store.finish(msgspec.structs.replace(live, text="Four!", state="done", finish="stop"))
    assert store.message("r") == done
    assert done.text == "Four!"


def test_versions_are_siblings_of_one_role(store: Store) -> None:
    store.add_message(user("u"))
    added = [store.add_message(reply(f"r{number}", "u", state="done")) for number in range(3)]
    store.add_message(user("other", parent="u"))
    assert [(message.version, message.versions) for message in added] == [(1, 1), (2, 2), (3, 3)]
    seen = [store.message(f"r{number}") for number in range(3)]
    assert [(message.version, message.versions) for message in seen] == [(1, 3), (2, 3), (3, 3)]
    store.set_head("c", "r1")
    assert store.chat("c").head == "r1"
    assert [message.id for message in store.path("r1")[0]] == ["u", "r1"]


def test_two_first_messages_are_versions_of_each_other(store: Store) -> None:
    store.add_message(user("u"))
    assert store.add_message(user("v")).versions == 2


def test_path_comes_in_pages_oldest_first(store: Store) -> None:
    parent = None
    for number in range(25):
        store.add_message(user(f"m{number}", parent))
        parent = f"m{number}"
    newest, more = store.path("m24", limit=10)
    assert [message.id for message in newest] == [f"m{number}" for number in range(15, 25)]
    assert more
    older, more = store.path("m24", before="m15", limit=10)
    assert [message.id for message in older] == [f"m{number}" for number in range(5, 15)]
    assert more
    oldest, more = store.path("m24", before="m5", limit=5)
    assert [message.id for message in oldest] == [f"m{number}" for number in range(5)]
    assert not more
    assert store.path("m24", before="m0") == ([], False)
    assert store.path(None) == ([], False)


def test_search_finds_words_and_thoughts(store: Store) -> None:
    store.add_message(user("u", text="Why does my Lernrate-Kurve über 200 steps jump?"))
    store.add_message(
        reply("r", "u", state="done", text="Three causes", thinking="The warm-up is at its peak")
    )
    store.add_message(user("z", "r", text="我想学习机器学习"))
    (hit,) = store.search("uber jump")
    assert (hit.chat, hit.title, hit.message, hit.part) == ("c", "Sums", "u", "answer")
    assert "über 200 steps" in hit.excerpt
    (hit,) = store.search("peak warm")
    assert (hit.message, hit.part) == ("r", "thinking")
    assert [found.message for found in store.search("cau")] == ["r"]
    assert [found.message for found in store.search("机器")] == ["z"]
    assert store.search("absent") == []
    store.delete_chat("c")
    assert store.search("jump") == []
    assert store.search("机器") == []


@pytest.mark.parametrize(
    "query",
    [
        '"',
        "'",
        "*",
        "a*b",
        "NOT",
        "a AND",
        "(",
        "text:x",
        "-x",
        "^",
        "NEAR(a b)",
        "a\x00b",
        "",
        " ",
        "?!",
        "\\",
        '"a" OR',
    ],
)
def test_search_never_reads_a_query_language(store: Store, query: str) -> None:
    store.add_message(user("u", text=f"this holds {query} literally"))
    hits = store.search(query)
    assert [hit.message for hit in hits] == (["u"] if any(map(str.isalnum, query)) else [])


def test_search_gives_the_best_first_whatever_the_limit(store: Store) -> None:
    store.add_message(user("best", text="jump jump jump"))
    for number in range(9):
        store.add_message(user(f"u{number}", text="a jump among many other words " * 3 + str(number)))
    assert [hit.message for hit in store.search("jump", 1)] == ["best"]
    assert [hit.message for hit in store.search("jump", 3)][0] == "best"
    assert len(store.search("jump", 3)) == 3


def test_search_sees_a_reply_once_it_is_finished(store: Store) -> None:
    store.add_message(user("u"))
    live = store.add_message(reply("r", "u"))
    store.finish(msgspec.structs.replace(live, state="done", text="pineapple", finish="stop"))
    assert [hit.message for hit in store.search("pineapple")] == ["r"]


def test_a_store_in_memory_says_that_it_saves_nothing() -> None:
    memory = Store.memory()
    memory.add_chat(ChatInfo("c", created=1.0, updated=1.0))
    memory.add_message(user("u"))
    assert [chat.saved for chat in memory.chats()] == [False]
    memory.close()


def test_recover_drops_only_old_chats_without_a_word(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add_chat(ChatInfo("old", created=1.0, updated=1.0))
    store.add_chat(ChatInfo("draft", created=1.0, updated=1.0, draft="half a"))
    store.add_chat(ChatInfo("new", created=1.0, updated=90_000.0))
    store.add_message(user("u"))
    monkeypatch.setattr(store_module.time, "time", lambda: 100_000.0)
    store.recover()
    for kept in ("c", "draft", "new"):
        assert store.chat(kept).id == kept
    with pytest.raises(EngineError):
        store.chat("old")


CHILD = """
import sys
from pathlib import Path
from engine.protocol.specs import ChatInfo, Message
from engine.store import Store

store = Store.open(Path(sys.argv[1]))
store.add_chat(ChatInfo("c", created=1.0, updated=1.0))
store.add_message(Message("u", "c", "user", "hello"))
store.add_message(Message("r", "c", "assistant", parent="u", state="queued"))
number = 0
while True:
    store.append("r", "thinking" if number < 20 else "answer", f"{number} ")
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
    number += 1
"""


def test_kill_9_loses_no_acknowledged_delta(path: Path) -> None:
    """A process that appends is killed in the middle; every delta it said it had stored is recovered."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    said = [int(child.stdout.readline()) for _ in range(150)]
    os.kill(child.pid, signal.SIGKILL)
    said += [int(line) for line in child.stdout.read().splitlines()]
    assert child.wait(20) == -signal.SIGKILL
    child.stdout.close()

    store = Store.open(path)
    (message,) = store.recover()
    assert (message.id, message.state, message.finish) == ("r", "done", "interrupted")
    assert message.thinking == "".join(f"{number} " for number in range(20))
    numbers = [int(word) for word in message.text.split()]
    assert numbers == list(range(20, 20 + len(numbers)))
    assert numbers[-1] >= said[-1]
    assert store.message("r") == message
    assert store.recover() == []
    store.close()


def test_full_disk_is_said_and_what_was_there_stays(store: Store, path: Path) -> None:
    store.add_message(user("u"))
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(EngineError) as error:
        store.add_message(user("v", "u", "x" * 200_000))
    assert code_of(error) == "disk_full"
    assert store.chat("c").head == "u"
    store._db.execute("PRAGMA max_page_count = 1000000")
    store.add_message(user("v", "u", "x" * 200_000))
    assert store.chat("c").head == "v"


def fill(store: Store) -> None:
    for _ in range(100):
        store.append("u", "answer", "x" * 10_000)


def test_full_file_system_is_said(tmp_path: Path) -> None:
    """A real file system without room, where the test may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(place)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("mounting a file system is not allowed here")
    try:
        store = Store.open(place / "qwill.db")
        store.add_chat(ChatInfo("c", created=1.0, updated=1.0))
        store.add_message(user("u"))
        with pytest.raises(EngineError) as error:
            fill(store)
        assert code_of(error) == "disk_full"
        assert store.message("u").text == "hello"
        store.close()
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_unwritable_and_locked_stores_are_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError) as error:
        Store.open(path / "missing" / "qwill.db")
    assert code_of(error) == "store_unwritable"
    monkeypatch.setattr(store_module, "BUSY_MS", 20)
    store = Store.open(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(EngineError) as error:
        store.add_chat(ChatInfo("c"))
    assert code_of(error) == "store_busy"
    assert error.value.info.retryable
    other.close()
    store.add_chat(ChatInfo("c"))
    store.close()
