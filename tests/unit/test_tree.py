"""The tree in the store: versions, deletes that can be undone, forks, tokens, marks and votes."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from engine.protocol.errors import EngineError
from engine.protocol.specs import Attachment, ChatInfo, ChatSettings, Message, Sampling
from engine.store import Store
from engine.store import tree as tree_module

PROMPT = json.dumps([{"role": "user", "content": "u"}])


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """u ─ r1 ─ v ─ s, and beside r1 the versions r2 ─ w and r3; the head is r3."""
    opened = Store.open(tmp_path / "qwill.db") if request.param == "disk" else Store.memory()
    opened.add_chat(ChatInfo("c", title="Sums", created=1.0, updated=1.0))
    for id_, parent in (
        ("u", None),
        ("r1", "u"),
        ("v", "r1"),
        ("s", "v"),
        ("r2", "u"),
        ("w", "r2"),
        ("r3", "u"),
    ):
        opened.add_message(message(id_, parent))
    yield opened
    opened.close()


def message(id_: str, parent: str | None, **fields: object) -> Message:
    role = "assistant" if id_[0] in "rs" else "user"
    plain = Message(id_, "c", role, f"text of {id_}", parent=parent, created=2.0)
    return msgspec.structs.replace(plain, **fields)


def path_of(store: Store, chat: str = "c") -> list[str]:
    return [each.id for each in store.path(store.chat(chat).head)[0]]


def places(store: Store, *ids: str) -> list[tuple[int, int]]:
    return [(found.version, found.versions) for found in map(store.message, ids)]


def code_of(error: pytest.ExceptionInfo[EngineError]) -> str:
    assert error.value.info.remedy
    return error.value.info.code


# --- versions -------------------------------------------------------------------------------


def test_a_version_is_shown_with_the_newest_below_it(store: Store) -> None:
    store.show("c", "r1")
    assert path_of(store) == ["u", "r1", "v", "s"]
    store.show("c", "u")
    assert path_of(store) == ["u", "r3"]


def test_versions_are_walked_and_end_at_both_ends(store: Store) -> None:
    for by, path in ((-1, ["u", "r2", "w"]), (-2, ["u", "r1", "v", "s"]), (-9, ["u", "r1", "v", "s"])):
        store.show("c", "r3", by)
        assert path_of(store) == path
    store.show("c", "r1", 9)
    assert path_of(store) == ["u", "r3"]


def test_a_message_can_join_beside_the_path_shown(store: Store) -> None:
    added = store.add_message(message("r4", "u"), head=False)
    assert (added.version, added.versions) == (4, 4)
    assert path_of(store) == ["u", "r3"]


def test_all_fields_of_a_message_and_a_chat_come_back(store: Store) -> None:
    full = message(
        "r4",
        "u",
        mark="good",
        origin="edited",
        source="r1",
        files=(Attachment("a.py", "x = 1"),),
        extra='{"a":1}',
    )
    added = store.add_message(full)
    assert added == store.message("r4") == msgspec.structs.replace(full, version=4, versions=4)
    changed = store.change_chat("c", tags=("work", "Größe"), archived=True, view='{"folds":[]}')
    assert store.chat("c") == changed
    assert (changed.tags, changed.archived, changed.view) == (("work", "Größe"), True, '{"folds":[]}')


def test_a_change_of_a_chat_leaves_its_head_alone(store: Store) -> None:
    before = store.chat("c")
    store.show("c", "r1")
    after = store.change_chat("c", draft="half a")
    assert (before.head, after.head) == ("r3", "s")


def test_tokens_of_a_reply_are_stored_as_they_were(store: Store) -> None:
    live = store.add_message(message("r4", "u", state="queued"))
    ids = (0, 7, 151_645, 4_294_967_295)
    store.finish(msgspec.structs.replace(live, state="done", finish="stop"), ids)
    assert store.ids("r4") == ids
    assert store.ids("r1") == store.ids("absent") == ()


# --- deletes --------------------------------------------------------------------------------


def test_a_deleted_version_takes_all_below_and_the_newest_beside_it_is_shown(store: Store) -> None:
    store.show("c", "r1")
    store.delete_message("c", "r1")
    assert path_of(store) == ["u", "r3"]
    assert places(store, "r2", "r3") == [(1, 2), (2, 2)]
    for gone in ("r1", "v", "s"):
        with pytest.raises(EngineError) as error:
            store.message(gone)
        assert code_of(error) == "message_unknown"
    store.restore_message("c", "r1")
    assert path_of(store) == ["u", "r1", "v", "s"]
    assert places(store, "r1", "r2", "r3") == [(1, 3), (2, 3), (3, 3)]


def test_without_versions_the_path_ends_at_the_parent(store: Store) -> None:
    store.show("c", "r1")
    store.delete_message("c", "s")
    assert path_of(store) == ["u", "r1", "v"]
    store.delete_message("c", "v")
    assert path_of(store) == ["u", "r1"]
    store.restore_message("c", "v")
    assert path_of(store) == ["u", "r1", "v"]
    store.restore_message("c", "s")
    assert path_of(store) == ["u", "r1", "v", "s"]


def test_a_delete_beside_the_path_moves_nothing(store: Store) -> None:
    store.delete_message("c", "r1")
    assert path_of(store) == ["u", "r3"]
    store.restore_message("c", "r1")
    assert path_of(store) == ["u", "r3"]


def test_what_went_alone_before_does_not_come_back_with_more(store: Store) -> None:
    store.show("c", "r1")
    store.delete_message("c", "s")
    store.delete_message("c", "r1")
    with pytest.raises(EngineError) as error:
        store.restore_message("c", "s")
    assert code_of(error) == "above_deleted"
    with pytest.raises(EngineError) as error:
        store.restore_message("c", "v")
    assert code_of(error) == "above_deleted"
    store.restore_message("c", "r1")
    assert path_of(store) == ["u", "r1", "v"]
    store.restore_message("c", "r1")
    assert path_of(store) == ["u", "r1", "v"]


def test_a_chat_without_messages_is_not_listed_and_survives_a_start(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.delete_message("c", "u")
    assert store.chat("c").head is None
    assert store.chats() == []
    monkeypatch.setattr(tree_module.time, "time", lambda: 1e9)
    store.recover()
    store.restore_message("c", "u")
    assert path_of(store) == ["u", "r3"]
    assert [chat.id for chat in store.chats()] == ["c"]


def test_search_skips_what_is_deleted(store: Store) -> None:
    store.add_message(message("r4", "u", text="pineapple 机器学习"))
    assert [hit.message for hit in store.search("pineapple")] == ["r4"]
    store.delete_message("c", "r4")
    assert store.search("pineapple") == store.search("机器") == []
    store.restore_message("c", "r4")
    assert [hit.message for hit in store.search("机器")] == ["r4"]


def test_a_message_of_another_chat_is_unknown_here(store: Store) -> None:
    store.add_chat(ChatInfo("d", created=1.0, updated=1.0))
    for call in (store.show, store.delete_message, store.restore_message, store.set_head):
        with pytest.raises(EngineError) as error:
            call("d", "r1")
        assert code_of(error) == "message_unknown"
        with pytest.raises(EngineError) as error:
            call("absent", "r1")
        assert code_of(error) == "chat_unknown"


# --- forks ----------------------------------------------------------------------------------


def fork(store: Store, at: str) -> list[Message]:
    ids = (f"n{number}" for number in itertools.count(1))
    copy = ChatInfo("d", "Sums (fork)", created=9.0, updated=9.0)
    store.fork("c", at, copy, lambda: next(ids))
    return store.path(store.chat("d").head)[0]


def test_a_fork_is_a_copy_of_the_path_that_lives_on_its_own(store: Store) -> None:
    live = store.add_message(message("s2", "v", state="queued"))
    done = msgspec.structs.replace(
        live, state="done", thinking="hm", settings=ChatSettings(system="Be brief")
    )
    store.finish(done, (1, 2, 3))
    copies = fork(store, "s2")
    assert [each.text for each in copies] == ["text of u", "text of r1", "text of v", "text of s2"]
    assert [each.id for each in copies] == ["n1", "n2", "n3", "n4"]
    assert [each.versions for each in copies] == [1, 1, 1, 1]
    assert (copies[-1].thinking, copies[-1].settings) == ("hm", ChatSettings(system="Be brief"))
    assert store.ids("n4") == (1, 2, 3)
    store.delete_message("c", "u")
    assert path_of(store, "d") == ["n1", "n2", "n3", "n4"]
    store.delete_message("d", "n3")
    store.restore_message("c", "u")
    assert path_of(store, "d") == ["n1", "n2"]
    assert path_of(store) == ["u", "r1", "v", "s2"]
    assert {hit.chat for hit in store.search("text of v")} == {"c"}


def test_a_fork_has_no_marks_and_needs_a_finished_path(store: Store) -> None:
    store.mark("r1", "good", PROMPT)
    assert [each.mark for each in fork(store, "r1")] == ["", ""]
    assert store.marked(10)[1] == 1
    store.add_message(message("s2", "v", state="queued"))
    with pytest.raises(EngineError) as error:
        fork(store, "s2")
    assert code_of(error) == "reply_grows"


# --- lists ----------------------------------------------------------------------------------


def test_archived_chats_and_tags_are_listed_when_asked_for(store: Store) -> None:
    for number, tags in ((1, ("work",)), (2, ("work", "home")), (3, ())):
        store.add_chat(ChatInfo(f"d{number}", created=1.0, updated=1.0, tags=tags))
        store.add_message(Message(f"x{number}", f"d{number}", "user", "x", created=10.0 + number))
    store.change_chat("d2", archived=True)
    assert [chat.id for chat in store.chats()] == ["d3", "d1", "c"]
    assert [chat.id for chat in store.chats(archived=True)] == ["d3", "d2", "d1", "c"]
    assert [chat.id for chat in store.chats(tag="work")] == ["d1"]
    assert [chat.id for chat in store.chats(archived=True, tag="home")] == ["d2"]
    assert store.chats(tag="wor") == []


# --- marks and votes ------------------------------------------------------------------------


def test_a_mark_is_kept_with_its_prompt_settings_and_model(store: Store) -> None:
    settings = ChatSettings(sampling=Sampling(seed=7), adapter="pirate")
    store.add_message(message("r4", "u", model="demo", settings=settings))
    assert store.mark("r4", "bad", PROMPT).mark == store.message("r4").mark == "bad"
    row = store._all("SELECT * FROM marks")[0]
    assert (row["message"], row["mark"], row["model"], row["prompt"]) == ("r4", "bad", "demo", PROMPT)
    assert msgspec.json.decode(row["settings"], type=ChatSettings) == settings
    assert store.prompt("r4") == PROMPT
    store.mark("r4", "", PROMPT)
    assert store.message("r4").mark == ""
    assert store.marked(10) == ([], 0)


def test_marked_replies_come_newest_first_without_deleted_ones(store: Store) -> None:
    for id_ in ("r1", "r2", "r3"):
        store.mark(id_, "good", PROMPT)
    found, total = store.marked(2)
    assert ([each.message.id for each in found], total) == (["r3", "r2"], 3)
    assert (found[0].kind, found[0].title) == ("good", "Sums")
    assert [each.message.id for each in store.marked(2, 2)[0]] == ["r1"]
    store.delete_message("c", "r3")
    assert [each.message.id for each in store.marked(9)[0]] == ["r2", "r1"]
    store.delete_chat("c")
    assert store.marked(9) == ([], 0)


def test_an_edit_counts_as_marked_until_it_is_deleted(store: Store) -> None:
    store.add_message(message("r4", "u", origin="edited", source="r1"), prompt=PROMPT)
    assert [(each.message.id, each.kind) for each in store.marked(9)[0]] == [("r4", "edited")]
    store.mark("r4", "good", "[]")
    assert store.prompt("r4") == PROMPT
    store.mark("r4", "", "[]")
    assert [each.kind for each in store.marked(9)[0]] == ["edited"]


def test_the_question_is_the_newest_users_message_above(store: Store) -> None:
    assert store.question("s") == "text of v"
    assert store.question("r2") == "text of u"
    assert store.question("absent") == ""


def test_pairs_follow_from_edits_marks_and_votes_once_each(store: Store) -> None:
    store.add_message(message("r4", "u", origin="edited", source="r1"), prompt=PROMPT)
    store.mark("r1", "bad", PROMPT)
    store.mark("r2", "good", PROMPT)
    store.vote("c", "r3", ("r2", "r1"), all_bad=False)
    store.vote("c", None, ("r1", "r2"), all_bad=True)
    pairs = store.pairs(99)
    assert sorted(pairs) == [("r2", "r1"), ("r3", "r1"), ("r3", "r2"), ("r4", "r1")]
    assert [pair for offset in range(4) for pair in store.pairs(1, offset)] == pairs
    store.delete_message("c", "r1")
    assert store.pairs(99) == [("r3", "r2")]


def test_an_edit_that_was_found_bad_is_no_example(store: Store) -> None:
    store.add_message(message("r4", "u", origin="edited", source="r1"), prompt=PROMPT)
    store.mark("r4", "bad", PROMPT)
    assert store.pairs(9) == []
    assert store.examples(("good", "edited"), 9) == []
    assert [each.kind for each in store.examples(("bad",), 9)] == ["bad"]


def test_replies_that_say_nothing_or_the_same_teach_nothing(store: Store) -> None:
    store.add_message(message("r4", "u", text="text of r1", origin="edited", source="r1"), prompt=PROMPT)
    store.add_message(message("r5", "u", text=" ", origin="edited", source="r1"), prompt=PROMPT)
    assert store.pairs(9) == []
    assert [each.message.id for each in store.examples(("edited",), 9)] == ["r4"]


def test_a_failed_vote_or_mark_leaves_nothing_behind(store: Store) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        store.vote("c", "absent", ("r1",), all_bad=False)
    with pytest.raises(EngineError) as error:
        store.mark("absent", "good", PROMPT)
    assert code_of(error) == "message_unknown"
    assert store._all("SELECT 1 FROM votes UNION ALL SELECT 1 FROM marks") == []
