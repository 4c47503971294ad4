"""Versions, edits, forks, deletions, marks, and a reply made again from its tag."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.api import commands, data_dir, events, specs
from tests.support.fake_engine import FakeEngine
from tests.support.fake_runs import REPORT, RunDesk
from tests.support.fake_tree import TreeEngine
from tests.tui.desk import NARROW, TINY, WIDE, Desk, open_desk
from tui.screens.marked import Marked
from tui.screens.train import Train

SIZES = pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])


def chatting(*pairs: tuple[str, str]) -> TreeEngine:
    """A tree with one chat."""
    engine = TreeEngine()
    engine.add_chat("old", "cats", *(pairs or (("why do cats purr", "They are happy."),)))
    return engine


def shown(desk: Desk) -> list[str]:
    """The texts of the path shown."""
    return [turn.text for turn in desk.bench.state.engine.path(desk.bench.state.chat)]


def rows_of(desk: Desk, words: str) -> list[int]:
    """The lines of the screen that these words stand on."""
    return [at for at, row in enumerate(desk.text().split("\n")) if words in row]


# --- versions ---------------------------------------------------------------------------------


@SIZES
async def test_left_and_right_show_the_versions_of_the_reply(size: tuple[int, int]) -> None:
    async with open_desk(chatting(), size) as desk:
        await desk.until("They are happy.")
        await desk.press("alt+up", "r")
        await desk.until(lambda: desk.bench.state.live())
        desk.engine.finish("To heal their bones.", chat="old")
        await desk.until("To heal their bones.")
        assert "‹2/2›" in desk.text()
        await desk.press("left")
        await desk.until("They are happy.")
        assert "‹1/2›" in desk.text()
        assert "To heal" not in desk.text()
        selected = desk.bench.transcript.selected
        assert selected is not None
        assert selected.text == "They are happy."
        await desk.press("left")
        await desk.until("This is the first version.")
        await desk.press("right")
        await desk.until("To heal their bones.")
        assert [each.by for each in desk.engine.asked(commands.ShowVersion)] == [-1, 1]


async def test_another_version_stands_where_the_first_one_stood() -> None:
    long = "\n\n".join(f"paragraph {n}" for n in range(30))
    engine = chatting(("one", long), ("two", "first answer"), ("three", long))
    async with open_desk(engine) as desk:
        await desk.until("paragraph 29")
        turn = next(t for t in desk.bench.state.engine.path("old") if t.text == "first answer")
        desk.bench.go_to(desk.bench.transcript)
        desk.bench.transcript.select(turn.id)
        await desk.press("r")
        await desk.until(lambda: desk.bench.state.live())
        desk.engine.finish("\n\n".join(f"variant {n}" for n in range(40)), chat="old")
        await desk.until("variant 39")
        await desk.press("left")
        await desk.until(lambda: "first answer" in desk.text() and "variant" not in desk.text())
        await desk.until(lambda: shown(desk)[-2:] == ["three", long])
        await desk.pilot.pause()
        row = rows_of(desk, "first answer")[0]
        await desk.press("right")
        await desk.until("variant 0")
        await desk.pilot.pause()
        assert rows_of(desk, "variant 0") == [row]
        await desk.press("left")
        await desk.until("first answer")
        await desk.pilot.pause()
        assert rows_of(desk, "first answer") == [row]


async def test_versions_by_number_and_what_there_is_to_say_about_one() -> None:
    async with open_desk(chatting()) as desk:
        await desk.until("They are happy.")
        await desk.say_command("/versions")
        await desk.until("This message has one version. r asks again, e edits it.")
        await desk.press("alt+up", "r")
        await desk.until(lambda: desk.bench.state.live())
        desk.engine.finish("Other.", chat="old")
        await desk.until("Other.")
        await desk.say_command("/versions")
        await desk.until("Version 2 of 2.")
        await desk.say_command("/versions 3")
        await desk.until("takes a number from 1 to 2")
        await desk.say_command("/versions 1")
        await desk.until("They are happy.")


async def test_a_path_changed_elsewhere_is_read_again() -> None:
    engine = chatting(("one", "uno"), ("two", "dos"))
    async with open_desk(engine) as desk:
        await desk.until("dos")
        engine._remember("old")
        first_reply = engine.messages["old"][1].id
        engine._show("old", first_reply)
        await desk.until(lambda: shown(desk) == ["one", "uno"])
        await desk.until(lambda: "dos" not in desk.text())
        await desk.pilot.pause()


# --- editing ----------------------------------------------------------------------------------


@SIZES
async def test_an_edited_question_is_answered_and_the_draft_comes_back(size: tuple[int, int]) -> None:
    async with open_desk(chatting(), size) as desk:
        await desk.until("They are happy.")
        desk.bench.composer.put("half a thought")
        await desk.press("alt+up", "e")
        await desk.until("Editing the reply")
        await desk.press("escape")
        assert desk.bench.composer.text == "half a thought"
        assert desk.app.focused is desk.bench.transcript
        await desk.press("k", "e")
        await desk.until("Editing your message · Enter saves a new version · Esc gives up")
        assert desk.bench.composer.text == "why do cats purr"
        await desk.press("space", *"loud", "enter")
        await desk.until(lambda: desk.bench.state.live())
        assert desk.engine.asked(commands.EditMessage)[0].text == "why do cats purr loud"
        assert desk.bench.composer.text == "half a thought"
        desk.engine.finish("Big lungs.", chat="old")
        await desk.until("Big lungs.")
        assert shown(desk) == ["why do cats purr loud", "Big lungs."]
        assert "Editing" not in desk.text()
        assert "edited  ‹2/2›" in desk.text()


async def test_an_edited_reply_becomes_what_it_should_have_been() -> None:
    async with open_desk(chatting()) as desk:
        await desk.until("They are happy.")
        await desk.press("alt+up", "e")
        await desk.until("what it should have been")
        desk.bench.composer.put("Nobody knows.")
        await desk.press("enter")
        await desk.until("edited  ‹2/2›")
        assert shown(desk) == ["why do cats purr", "Nobody knows."]
        assert desk.bench.state.live() is None


async def test_an_edit_that_changes_nothing_or_is_refused_loses_nothing() -> None:
    async with open_desk(chatting()) as desk:
        await desk.until("They are happy.")
        await desk.say_command("/edit")
        await desk.press("enter")
        await desk.until("Nothing was changed")
        assert desk.engine.asked(commands.EditMessage) == []
        desk.engine.refuse(commands.EditMessage, "disk_full", "The disk is full")
        await desk.say_command("/edit")
        desk.bench.composer.put("new words")
        await desk.press("enter")
        await desk.until("The disk is full")
        assert desk.bench.composer.text == "new words"
        assert "Editing your message" in desk.text()


async def test_an_edit_ends_with_its_chat_and_is_no_draft() -> None:
    engine = chatting()
    engine.add_chat("new", "dogs", ("why do dogs bark", "To talk."))
    async with open_desk(engine) as desk:
        await desk.until("To talk.")
        desk.bench.composer.put("draft")
        await desk.press("alt+up", "e")
        await desk.until("Editing")
        desk.bench.open_chat("old")
        await desk.until("They are happy.")
        assert "Editing" not in desk.text()
        assert desk.bench.composer.text == ""
        desk.bench.open_chat("new")
        assert desk.bench.composer.text == "draft"
        await desk.until("To talk.")
        await desk.pilot.pause()


async def test_what_is_still_being_written_says_what_to_do_first() -> None:
    async with open_desk(TreeEngine()) as desk:
        await desk.say("hello")
        await desk.press("alt+up", "e")
        await desk.until("Esc stops it, then it can be edited.")
        await desk.press("d")
        await desk.until("Esc stops it, then it can be deleted.")
        await desk.press("k", "d", "plus")
        assert desk.engine.asked(commands.DeleteMessage) == []
        assert desk.engine.asked(commands.EditMessage) == []


# --- continue, fork, delete -------------------------------------------------------------------


async def test_a_reply_goes_on_as_a_new_version() -> None:
    async with open_desk(chatting()) as desk:
        await desk.until("They are happy.")
        await desk.press("alt+up", "c")
        await desk.until(lambda: desk.bench.state.live())
        assert desk.engine.reply("old").origin == "continued"
        desk.engine.answer(" And warm.", offset=len("They are happy."), chat="old")
        await desk.until("They are happy. And warm.")
        assert "‹2/2›" in desk.text()


async def test_a_fork_is_a_chat_of_its_own_up_to_the_message() -> None:
    async with open_desk(chatting(("one", "uno"), ("two", "dos"))) as desk:
        await desk.until("dos")
        await desk.press("alt+up", "k", "k", "f")
        await desk.until("A new chat with everything up to there")
        await desk.until(lambda: shown(desk) == ["one", "uno"])
        assert desk.bench.state.chat != "old"
        assert desk.app.focused is desk.bench.composer


@SIZES
async def test_a_deleted_message_goes_with_what_followed_and_z_brings_it_back(size: tuple[int, int]) -> None:
    async with open_desk(chatting(("one", "uno"), ("two", "dos")), size) as desk:
        await desk.until("dos")
        await desk.press("alt+up", "k", "d")
        await desk.until("z brings it back")
        assert shown(desk) == ["one", "uno"]
        await desk.press("z")
        await desk.until(lambda: shown(desk) == ["one", "uno", "two", "dos"])
        assert [each.restore for each in desk.engine.asked(commands.DeleteMessage)] == [False, True]
        await desk.press("z")
        await desk.until("Nothing was deleted here.")


async def test_with_another_version_left_that_one_is_shown() -> None:
    async with open_desk(chatting()) as desk:
        await desk.until("They are happy.")
        await desk.press("alt+up", "r")
        await desk.until(lambda: desk.bench.state.live())
        desk.engine.finish("Other.", chat="old")
        await desk.until("Other.")
        await desk.press("d")
        await desk.until("They are happy.")
        assert "‹" not in desk.text()
        await desk.press("u")
        await desk.until("Other.")


async def test_undo_brings_back_what_went_last_be_it_chat_or_message() -> None:
    engine = chatting(("one", "uno"), ("two", "dos"))
    engine.add_chat("other", "dogs", ("a", "b"))
    async with open_desk(engine) as desk:
        desk.bench.open_chat("old")
        await desk.until("dos")
        await desk.press("alt+up", "d")
        await desk.until("z brings it back")
        desk.bench.delete_chat("other")
        await desk.until(lambda: "other" not in desk.bench.state.engine.chats)
        await desk.say_command("/undo")
        await desk.until(lambda: desk.bench.state.chat == "other")
        assert len(desk.engine.asked(commands.DeleteMessage)) == 1
        await desk.say_command("/undo")
        await desk.until(lambda: desk.bench.state.chat == "old" and "dos" in desk.text())


# --- marks ------------------------------------------------------------------------------------


async def test_marks_stand_in_the_head_and_the_same_key_takes_them_off() -> None:
    async with open_desk(chatting()) as desk:
        await desk.until("They are happy.")
        await desk.press("alt+up", "plus")
        await desk.until("+ good")
        await desk.press("minus")
        await desk.until("− bad")
        assert "+ good" not in desk.text()
        await desk.press("minus")
        await desk.until(lambda: "− bad" not in desk.text())
        await desk.say_command("/good")
        await desk.until("+ good")
        marks = [each.mark for each in desk.engine.asked(commands.MarkReply)]
        assert marks == ["good", "bad", "", "good"]
        await desk.press("alt+up", "k", "plus")
        await desk.until("Only replies are marked.")


async def test_a_mark_set_elsewhere_shows() -> None:
    engine = chatting()
    async with open_desk(engine) as desk:
        await desk.until("They are happy.")
        engine.emit(events.MessageChanged(message=replace(engine.messages["old"][1], mark="bad")))
        await desk.until("− bad")


@SIZES
async def test_marked_replies_are_listed_and_enter_goes_to_them(size: tuple[int, int]) -> None:
    engine = chatting(("one", "uno"), ("two", "dos"))
    engine.add_chat("other", "dogs", ("a", "b"))
    async with open_desk(engine, size) as desk:
        engine._on_markreply(
            commands.MarkReply(chat="old", message=engine.messages["old"][1].id, mark="good")
        )
        await desk.say_command("/marked")
        text = await desk.until("1 reply")
        assert isinstance(desk.app.screen, Marked)
        for words in ("one", "uno", "+", "cats"):
            assert words in text
        await desk.press("minus")
        await desk.until("−")
        await desk.press("enter")
        await desk.until(lambda: desk.bench.state.chat == "old")
        await desk.until(lambda: desk.bench.transcript.selected is not None)
        selected = desk.bench.transcript.selected
        assert selected is not None
        assert selected.text == "uno"


async def test_a_marked_reply_on_another_path_is_found() -> None:
    engine = chatting()
    async with open_desk(engine) as desk:
        await desk.until("They are happy.")
        await desk.press("alt+up", "plus", "r")
        await desk.until(lambda: desk.bench.state.live())
        engine.finish("Other.", chat="old")
        await desk.until("Other.")
        await desk.press("escape")
        await desk.say_command("/marked")
        await desk.until("1 reply")
        await desk.press("enter")
        await desk.until(lambda: shown(desk) == ["why do cats purr", "They are happy."])


@pytest.mark.parametrize("size", [WIDE, NARROW, TINY], ids=["120x40", "80x24", "40x12"])
async def test_without_marks_the_list_says_how_to_make_them(size: tuple[int, int]) -> None:
    async with open_desk(chatting(), size) as desk:
        await desk.say_command("/marked")
        await desk.until("No reply is marked yet.")
        await desk.press("x")
        await desk.until("nothing to export")
        await desk.press("escape")
        await desk.until(lambda: not isinstance(desk.app.screen, Marked))


async def test_a_long_list_is_read_page_by_page() -> None:
    engine = chatting(*((f"q{n}", f"a{n}") for n in range(150)))
    engine._remember("old")
    for message in engine.messages["old"][1::2]:
        engine.nodes[message.id] = replace(message, mark="good")
    async with open_desk(engine) as desk:
        await desk.say_command("/marked")
        await desk.until("150 replies")
        screen = desk.app.screen
        assert isinstance(screen, Marked)
        for _ in range(10):
            await desk.press("pagedown")
            await desk.pilot.pause()
        await desk.until(lambda: len(screen.table.replies) == 150)
        assert [each.offset for each in engine.asked(commands.ListMarked)] == [0, 100]


# --- export -----------------------------------------------------------------------------------


def marked_engine(replies: int = 3) -> TreeEngine:
    """A chat with so many replies marked good."""
    engine = chatting(*((f"soru {n} ığüşöç", f"cevap {n} 猫") for n in range(replies)))
    engine._remember("old")
    for message in engine.messages["old"][1::2]:
        engine.nodes[message.id] = replace(message, mark="good")
    return engine


@SIZES
async def test_x_writes_the_rows_into_a_new_file_and_says_where(size: tuple[int, int]) -> None:
    engine = marked_engine()
    async with open_desk(engine, size) as desk:
        await desk.say_command("/marked")
        await desk.until("3 replies")
        await desk.press("x")
        await desk.until("Export marked replies")
        await desk.press("enter")
        await desk.until("Wrote 3 rows")
        (path,) = (data_dir() / "exports").iterdir()
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert rows[0]["messages"][1] == {"role": "assistant", "content": "cevap 2 猫"}
        assert len(rows) == 3
        assert [each.offset for each in engine.asked(commands.ExportMarked)] == [0, 2]


async def test_the_shape_and_the_path_can_be_chosen_and_nothing_is_overwritten(tmp_path: Path) -> None:
    from textual.widgets import Input

    there = tmp_path / "rows.jsonl"
    there.write_text("mine\n")
    engine = marked_engine()
    async with open_desk(engine) as desk:
        await desk.say_command("/marked")
        await desk.until("3 replies")
        await desk.press("x", "down", "down")
        await desk.until("marked-kto-")
        field = desk.app.screen.query_one(Input)
        field.value = str(there)
        await desk.press("enter")
        await desk.until("This file is there already.")
        field.value = str(tmp_path / "nowhere" / "rows.jsonl")
        await desk.press("enter")
        await desk.until("The folder is not there.")
        field.value = str(tmp_path / "kto.jsonl")
        await desk.press("enter")
        await desk.until("Wrote 3 rows")
        assert engine.asked(commands.ExportMarked)[0].shape == "kto"
        assert there.read_text() == "mine\n"
        assert len((tmp_path / "kto.jsonl").read_text().splitlines()) == 3


async def test_a_shape_without_rows_writes_no_file() -> None:
    engine = marked_engine()
    engine.answers[commands.ExportMarked] = lambda _: commands.MarkedRows(rows=())
    async with open_desk(engine) as desk:
        await desk.say_command("/marked")
        await desk.until("3 replies")
        await desk.press("x", "enter")
        await desk.until("None of the marked replies makes a row of this shape")
        assert list((data_dir() / "exports").iterdir()) == []


# --- the train form ---------------------------------------------------------------------------


async def test_the_train_form_offers_marked_replies_first_and_learns_from_them_as_they_are() -> None:
    """The engine makes a file of them, so that the run is told as theirs."""
    engine = marked_engine()
    RunDesk(engine)
    engine.answers[commands.CheckData] = lambda _: REPORT
    async with open_desk(engine) as desk:
        await desk.press("f4")
        await desk.until("240 chats")
        await desk.press("ctrl+l")
        await desk.until("My marked replies (3)")
        await desk.press("enter")
        await desk.until(lambda: any(each.data == "marked:" for each in engine.asked(commands.CheckData)))
        screen = desk.app.screen
        assert isinstance(screen, Train)
        assert screen.text_fields["data"].value == "marked:"
        await desk.until("My marked replies · 240 chats")
        assert not (data_dir() / "exports").exists()


async def test_without_marked_replies_the_train_form_offers_the_datasets_alone() -> None:
    trainer = RunDesk(FakeEngine())
    async with open_desk(trainer.engine) as desk:
        await desk.press("f4")
        await desk.until("240 chats")
        await desk.press("ctrl+l")
        await desk.until("Datasets")
        assert "My marked replies" not in desk.text()


# --- the tag ----------------------------------------------------------------------------------


@SIZES
async def test_the_tag_tells_everything_and_enter_makes_the_reply_again(size: tuple[int, int]) -> None:
    engine = TreeEngine()
    async with open_desk(engine, size) as desk:
        await desk.say("hello")
        sampling = specs.Sampling(temperature=0.7, top_k=20, top_p=0.9, seed=4242, max_tokens=512)
        settings = specs.ChatSettings(system="Be brief.", think_budget=1024, sampling=sampling)
        engine.finish("Hi.", "Say hi.", settings=settings, adapter="a1", model="demo")
        await desk.until(lambda: not desk.bench.transcript.busy)
        await desk.press("alt+up", "t")
        text = await desk.until("About this reply")
        for words in ("demo", "a1", "4242", "0.7", "0.9", "1,024 tokens at most", "73 tokens"):
            assert words in text
        await desk.press("enter")
        await desk.until(lambda: desk.bench.state.live())
        asked = engine.asked(commands.Regenerate)[0]
        assert asked.model == "demo"
        assert asked.settings == replace(settings, adapter="a1")


async def test_a_reply_without_settings_has_a_tag_but_cannot_be_made_again() -> None:
    async with open_desk(chatting()) as desk:
        await desk.until("They are happy.")
        await desk.say_command("/about_reply")
        await desk.until("not known")
        await desk.press("enter")
        await desk.until(lambda: "About this reply" not in desk.text())
        assert desk.engine.asked(commands.Regenerate) == []
