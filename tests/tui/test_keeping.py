"""Finding and keeping chats: search that jumps, names, tags, the archive, incognito, files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.api import commands, events, specs
from tests.support.fake_engine import FakeEngine
from tests.support.fake_tree import TreeEngine
from tests.tui.desk import NARROW, Desk, open_desk
from tui.modals.archived import Archived
from tui.modals.export_chat import ExportChat
from tui.modals.import_chats import ImportReport
from tui.modals.search import Search
from tui.modals.working import Working
from tui.screens.keep_verbs import retagged, typed_path


def two_chats(engine: FakeEngine | None = None) -> FakeEngine:
    engine = engine or FakeEngine()
    engine.add_chat("a", "Kira sözleşmesi", ("what is a lien?", "a claim"))
    engine.add_chat("b", "Loss jump", ("why?", "warm-up"))
    return engine


def hit(**fields: Any) -> commands.Hit:
    plain = {"title": "Kira sözleşmesi", "part": "answer", "role": "assistant", "created": 1.0}
    return commands.Hit(**(plain | fields))


def found(engine: FakeEngine, *hits: commands.Hit) -> None:
    engine.answers[commands.SearchChats] = lambda command: commands.HitList(hits=hits)


async def command(desk: Desk, text: str) -> None:
    desk.bench.composer.put(text)
    await desk.press("enter")


# --- search ---------------------------------------------------------------------------------


async def test_a_hit_opens_its_chat_with_the_message_selected() -> None:
    engine = two_chats()
    for number in range(90):
        engine.messages["a"].append(engine._message("a", "user", f"line {number}"))
    target = engine.messages["a"][0]
    found(engine, hit(chat="a", message=target.id, role="user", excerpt="what is a lien?", start=10, end=14))
    async with open_desk(engine) as desk:
        await desk.until("warm-up")
        await desk.press("ctrl+r", *"lien")
        text = await desk.until("what is a lien?")
        assert "Kira sözleşmesi" in text
        await desk.press("enter")
        await desk.until(lambda: (s := desk.bench.transcript.selected) is not None and s.id == target.id)
        assert desk.bench.state.chat == "a"
        assert desk.bench.focused is desk.bench.transcript
        await desk.until("what is a lien?")


async def test_a_hit_beside_the_path_shows_its_version() -> None:
    engine = TreeEngine()
    two_chats(engine)
    question, old = engine.messages["a"]
    engine._remember("a")
    newer = engine._put(old, "assistant", "another claim", parent=question.id, finish="stop", model="demo")
    engine._show("a", newer.id)
    found(engine, hit(chat="a", message=old.id, excerpt="a claim", start=2, end=7))
    async with open_desk(engine) as desk:
        await desk.until("warm-up")
        await desk.press("ctrl+r", *"claim")
        await desk.until("a claim")
        await desk.press("enter")
        await desk.until(lambda: (s := desk.bench.transcript.selected) is not None and s.id == old.id)
        assert [asked.message for asked in engine.asked(commands.ShowVersion)] == [old.id]
        assert "‹1/2›" in await desk.until("a claim")


async def test_a_hit_in_a_thought_opens_the_thought() -> None:
    engine = two_chats()
    thinker = replace(engine.messages["a"][1], thinking="a lien is a right over goods")
    engine.messages["a"][1] = thinker
    found(
        engine,
        hit(chat="a", message=thinker.id, part="thinking", excerpt="a lien is a right", start=2, end=6),
    )
    async with open_desk(engine) as desk:
        await desk.until("warm-up")
        await desk.press("ctrl+r", *"lien")
        await desk.until("a lien is a right")
        await desk.press("enter")
        await desk.until("┊ a lien is a right over goods")


@pytest.mark.parametrize("size", [(120, 40), NARROW])
async def test_a_row_tells_chat_tags_and_place_with_the_hit_in_sight(size: tuple[int, int]) -> None:
    engine = two_chats()
    words = "önce " * 12 + "DİREKSİYON" + " sonra" * 12
    at = words.index("DİREKSİYON")
    found(
        engine,
        hit(chat="a", message="a", part="title", excerpt="#hukuk", tags=("hukuk",)),
        hit(chat="a", message="m1", excerpt=words, start=at, end=at + 10, tags=("hukuk",), archived=True),
        hit(chat="b", message="m2", part="thinking", title="\x1b[2Jbad\u202e", excerpt="\x1b[31mx", end=5),
    )
    async with open_desk(engine, size=size) as desk:
        await desk.press("ctrl+r", *"dir")
        text = await desk.until("DİREKSİYON")
        assert "#hukuk  chat" in text
        assert "#hukuk archived  reply" in text
        assert "thought" in text
        assert "\x1b" not in text
        assert "\u202e" not in text


async def test_search_says_what_went_wrong_and_when_nothing_is_found() -> None:
    engine = two_chats()
    found(engine)
    async with open_desk(engine) as desk:
        await desk.press("ctrl+r", *"zzz")
        await desk.until("Nothing found.")
        engine.refuse(commands.SearchChats, "store_busy", "Another program holds the chats")
        await desk.press("z")
        await desk.until("Another program holds the chats")
        assert isinstance(desk.app.screen, Search)


# --- names and places -----------------------------------------------------------------------


async def test_rename_changes_the_title_or_offers_the_present_one() -> None:
    engine = two_chats()
    async with open_desk(engine) as desk:
        await desk.until("warm-up")
        await command(desk, "/rename")
        await desk.until(lambda: desk.bench.composer.text == "/rename Loss jump")
        await command(desk, "/rename Kayıp\u202e sıçraması")
        await desk.until("Kayıp sıçraması")
        assert engine.chats["b"].title == "Kayıp sıçraması"


async def test_tags_are_added_taken_away_and_told() -> None:
    engine = two_chats()
    async with open_desk(engine) as desk:
        await desk.until("warm-up")
        await command(desk, "/tag hukuk #tr")
        await desk.until("#hukuk #tr")
        assert engine.chats["b"].tags == ("hukuk", "tr")
        await command(desk, "/tag -hukuk")
        await desk.until(lambda: engine.chats["b"].tags == ("tr",))
        await command(desk, "/tag -")
        await desk.until("No tags.")


def test_tags_keep_their_order_and_their_limits() -> None:
    assert retagged(("a", "b"), "b c -a") == ("b", "c")
    assert retagged(("a",), "- x") == ("x",)
    assert retagged((), "# -- ##") == ()
    assert len(retagged((), " ".join(map(str, range(99))))) == 20
    assert retagged((), "x" * 99) == ("x" * 40,)


async def test_archive_takes_a_chat_out_of_the_list_and_archived_finds_it() -> None:
    engine = two_chats()
    engine.answers[commands.ListChats] = lambda q: commands.ChatList(chats=tuple(engine.chats.values()))
    async with open_desk(engine) as desk:
        await desk.until("warm-up")
        await command(desk, "/archive")
        await desk.until("Archived “Loss jump”")
        assert engine.chats["b"].archived
        assert desk.bench.state.chat == ""
        assert [chat.id for chat in desk.bench.state.engine.recent()] == ["a"]
        await command(desk, "/archived")
        await desk.until(lambda: isinstance(desk.app.screen, Archived))
        await desk.press(*"loss", "enter")
        await desk.until(lambda: desk.bench.state.chat == "b")
        await command(desk, "/archive")
        await desk.until("is back in the list")
        assert not engine.chats["b"].archived


async def test_incognito_is_said_saved_nowhere_and_ends_with_the_next_chat() -> None:
    engine = two_chats()
    async with open_desk(engine) as desk:
        await desk.until("warm-up")
        await command(desk, "/incognito")
        await desk.until("incognito · saved nowhere")
        await desk.say("a secret")
        (created,) = engine.asked(commands.NewChat)
        assert not created.saved
        engine.finish("kept quiet", chat="c3")
        await desk.until("kept quiet")
        assert "incognito · saved nowhere" in desk.text()
        await command(desk, "/archive")
        await desk.until("cannot be archived")
        await desk.press("ctrl+n")
        await desk.until(lambda: "incognito ·" not in desk.text())
        await desk.say("for everyone")
        assert engine.asked(commands.NewChat)[-1].saved


async def test_incognito_can_be_taken_back_before_the_first_word() -> None:
    async with open_desk() as desk:
        await command(desk, "/incognito")
        await desk.until("incognito ·")
        await command(desk, "/incognito")
        await desk.until(lambda: "incognito ·" not in desk.text())


async def test_somebody_elses_unsaved_chat_is_not_listed() -> None:
    engine = two_chats()
    async with open_desk(engine) as desk:
        await desk.until("warm-up")
        engine.emit(
            events.ChatChanged(chat=specs.ChatInfo(id="x", title="one shot", saved=False, head="h")),
            events.ChatChanged(chat=replace(engine.chats["a"], title="Renamed")),
        )
        await desk.until("Renamed")
        assert "one shot" not in desk.text()


# --- files ----------------------------------------------------------------------------------


def with_tree(engine: FakeEngine) -> FakeEngine:
    """Answers ReadTree two messages at a time."""

    def page(query: commands.ReadTree) -> commands.TreePage:
        path = engine.messages[query.chat]
        start = next((n + 1 for n, m in enumerate(path) if m.id == query.after), 0)
        chat = replace(engine.chats[query.chat], head=path[-1].id)
        return commands.TreePage(chat, tuple(path[start : start + 2]), start + 2 < len(path))

    engine.answers[commands.ReadTree] = page
    return engine


async def test_export_asks_for_form_and_file_and_says_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    engine = with_tree(two_chats())
    engine.messages["b"] += engine.messages["a"]
    async with open_desk(engine) as desk:
        await desk.until("warm-up")
        await command(desk, "/export")
        await desk.until(lambda: isinstance(desk.app.screen, ExportChat))
        await desk.until("Loss jump.md")
        await desk.press("down")
        await desk.until("Loss jump.json")
        await desk.press("up", "enter")
        await desk.until("This chat is in")
        assert (tmp_path / "Loss jump.md").read_text().startswith("---\ntitle:")
        await command(desk, "/export json")
        await desk.until(lambda: (tmp_path / "Loss jump.json").exists())
        assert len(json.loads((tmp_path / "Loss jump.json").read_text())["chats"][0]["messages"]) == 4
        await command(desk, f"/export {tmp_path / 'deep'}/x.md")
        await desk.until("could not be written")


async def test_import_tells_what_came_what_was_left_out_and_opens_it(tmp_path: Path) -> None:
    engine = two_chats()
    put: list[Any] = []

    def began(query: commands.PutChat) -> specs.ChatInfo:
        chat = replace(query.info, id=f"new{len(put)}", model="demo", updated=9e9)
        engine.chats[chat.id] = chat
        return chat

    def took(query: commands.PutMessages) -> specs.ChatInfo:
        put.append(query)
        engine.messages[query.chat] = list(query.messages)
        return engine.chats[query.chat]

    engine.answers |= {commands.PutChat: began, commands.PutMessages: took}
    path = tmp_path / "a file.jsonl"
    good = {"messages": [{"role": "user", "content": "çay?"}, {"role": "assistant", "content": "evet"}]}
    path.write_text("\n".join(map(json.dumps, [good, {"no": "chat"}, good])))
    async with open_desk(engine) as desk:
        await desk.until("warm-up")
        await command(desk, f"/import '{path}'")
        await desk.until(lambda: isinstance(desk.app.screen, ImportReport))
        text = desk.text()
        assert "2 chats with 4 messages came in, 1 thing left out." in text
        assert "line 2" in text
        await desk.press("escape")
        await desk.until("evet")
        assert desk.bench.state.chat == "new1"
        await command(desk, "/import /nowhere/at/all.json")
        await desk.until("cannot be read")


async def test_a_long_import_shows_how_far_it_is_and_can_be_stopped(tmp_path: Path) -> None:
    import asyncio

    engine = two_chats()
    engine.answers[commands.PutChat] = lambda query: replace(query.info, id="n")
    engine.answers[commands.PutMessages] = lambda query: engine.chats["a"]
    path = tmp_path / "many.jsonl"
    path.write_text("\n".join([json.dumps({"messages": [{"role": "user", "content": "x"}]})] * 300))
    request = engine.request
    gate = asyncio.Semaphore(20)

    async def slow(query: Any) -> Any:
        if isinstance(query, commands.PutChat):
            await gate.acquire()
        return await request(query)

    engine.request = slow  # type: ignore[method-assign]
    async with open_desk(engine) as desk:
        await desk.until("warm-up")
        await command(desk, f"/import {path}")
        await desk.until("20 chats, 20 messages")
        assert isinstance(desk.app.screen, Working)
        await desk.press("escape")
        await desk.until("Stopped. 20 chats with 20 messages came in.")


async def test_what_a_tool_said_is_folded(tmp_path: Path) -> None:
    engine = two_chats()
    tool = engine._message("b", "tool", '{"temperature": 21}\nsecond line\nthird line')
    asked = engine._message(
        "b", "assistant", "Let me look", extra='{"tool_calls":[{"id":"1"}]}', finish="stop"
    )
    engine.messages["b"] += [asked, tool]
    async with open_desk(engine) as desk:
        text = await desk.until("▸ {")
        assert "Tool" in text
        assert "third line" not in text.split("▸ {")[1].splitlines()[1]
        assert 'as imported: {"tool_calls":[{"id":"1"}]}' in text
        desk.bench.transcript.select(tool.id)
        desk.bench.go_to(desk.bench.transcript)
        await desk.press("space")
        await desk.until("┊ third line")


def test_a_path_may_be_quoted_and_start_at_home(home: Path) -> None:
    assert typed_path(" '/a b/c.json' ") == Path("/a b/c.json")
    assert typed_path("~/x") == home / "x"
    assert typed_path("~nobody-at-all/x").name == "x"
