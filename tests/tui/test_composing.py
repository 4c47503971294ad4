"""Writing a prompt: files, pastes, words, prompts of before, and what waits."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from textual import events as keyboard

from engine.api import commands
from tests.support.fake_engine import FakeEngine
from tests.tui.desk import NARROW, Desk, open_desk
from tui.screens.help import Help
from tui.state import Blank


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a few files in it, as the present one."""
    (tmp_path / "notes.txt").write_text("Buy milk.\r\nCall home.\n")
    (tmp_path / "notebook.py").write_text("print('hi')\n")
    (tmp_path / ".hidden.txt").write_text("secret\n")
    (tmp_path / "two words").mkdir()
    (tmp_path / "two words" / "deep.md").write_text("# Deep\n")
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "deeper.md").write_text("no\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paste(desk: Desk, text: str) -> None:
    desk.bench.composer.post_message(keyboard.Paste(text))


def counting(engine: FakeEngine) -> FakeEngine:
    """One token a word."""
    engine.answers[commands.CountTokens] = lambda asked: commands.TokenCount(len(asked.text.split()))
    return engine


def attached(desk: Desk) -> list[str]:
    return [file.name for file in desk.bench.state.files.get(desk.bench.state.chat, ())]


# --- files ----------------------------------------------------------------------------------


async def test_an_at_completes_a_path_and_enter_attaches_it(folder: Path) -> None:
    async with open_desk(counting(FakeEngine())) as desk:
        await desk.press(*"Sum up @note")
        text = await desk.until("notes.txt")
        assert "notebook.py" in text
        assert ".hidden" not in text
        await desk.press("down", "enter")
        text = await desk.until("@notes.txt 4 tokens")
        assert desk.bench.composer.text == "Sum up "
        assert desk.engine.asked(commands.Send) == []
        await desk.press("enter")
        await desk.until("You")
        sent = desk.engine.asked(commands.Send)[0]
        assert [(file.name, file.text) for file in sent.files] == [("notes.txt", "Buy milk.\nCall home.\n")]
        assert attached(desk) == []
        await desk.until("with notes.txt")


async def test_folders_are_gone_into_and_names_with_spaces_are_no_obstacle(folder: Path) -> None:
    async with open_desk() as desk:
        await desk.press(*"@two")
        await desk.until("two words/")
        await desk.press("tab")
        await desk.until("deep.md")
        assert desk.bench.composer.text == '@"two words/'
        await desk.press("tab")
        await desk.until("@two words/deep.md")
        assert desk.bench.composer.text == ""


async def test_a_name_is_found_below_the_folder_but_not_in_what_machines_fill(folder: Path) -> None:
    async with open_desk() as desk:
        await desk.press(*"@deep")
        text = await desk.until("two words/deep.md")
        assert "node_modules" not in text
        await desk.press("enter")  # it was not picked: this sends
        await desk.until(lambda: desk.engine.asked(commands.Send))


async def test_hidden_files_come_when_their_dot_is_typed(folder: Path) -> None:
    async with open_desk() as desk:
        await desk.press(*"@.h")
        await desk.until(".hidden.txt")


async def test_escape_closes_the_paths_and_the_text_stays(folder: Path) -> None:
    async with open_desk() as desk:
        await desk.press(*"@note")
        await desk.until("notes.txt")
        await desk.press("escape")
        await desk.until(lambda: not desk.bench.composer.completing)
        assert desk.bench.composer.text == "@note"


async def test_two_files_have_a_sum_and_one_goes_by_two_backspaces(folder: Path) -> None:
    async with open_desk(counting(FakeEngine()), NARROW) as desk:
        for path in ("notes.txt", "notebook.py"):
            desk.bench.composer.put(f"/file {path}")
            await desk.pilot.pause()
            await desk.press("escape", "enter")
        await desk.until("= 5 tokens")
        await desk.press("backspace")
        await desk.until("Backspace again takes notebook.py away")
        await desk.press("x", "backspace")
        assert attached(desk) == ["notes.txt", "notebook.py"]
        await desk.press("backspace", "backspace")
        await desk.until(lambda: attached(desk) == ["notes.txt"])
        desk.bench.composer.put("/detach undo")
        await desk.press("enter")
        await desk.until(lambda: attached(desk) == ["notes.txt", "notebook.py"])


async def test_what_cannot_be_attached_is_told_in_a_sentence(folder: Path) -> None:
    (folder / "cat.pdf").write_bytes(b"%PDF-1.7\n\0\0")
    os.mkfifo(folder / "pipe")
    async with open_desk() as desk:
        for path, why in (("cat.pdf", "cat.pdf is not text"), ("pipe", "pipe is a pipe")):
            desk.bench.attach(path)
            await desk.until(why)
        assert attached(desk) == []


async def test_each_chat_keeps_its_files_and_so_does_a_restart(folder: Path) -> None:
    engine = FakeEngine()
    engine.add_chat("c1", "One", ("a", "b"))
    engine.add_chat("c2", "Two", ("c", "d"))
    async with open_desk(engine) as desk:
        shown = desk.bench.state.chat
        desk.bench.attach("notes.txt")
        await desk.until("@notes.txt")
        await desk.press("ctrl+pagedown")
        await desk.until(lambda: "@notes.txt" not in desk.text())
        await desk.press("ctrl+pageup")
        await desk.until("@notes.txt")
    (folder / "notes.txt").unlink()
    again = FakeEngine(engine.welcome.snapshot)
    again.messages = engine.messages
    async with open_desk(again) as desk:
        assert desk.bench.state.chat == shown
        await desk.until("@notes.txt")
        await desk.press(*"hi", "enter")
        await desk.until(lambda: desk.engine.asked(commands.Send))
        assert desk.engine.asked(commands.Send)[0].files[0].text == "Buy milk.\nCall home.\n"


async def test_the_draft_of_a_chat_that_does_not_exist_yet_survives_too() -> None:
    async with open_desk() as desk:
        await desk.press(*"half a thought")
        desk.bench.keep_draft()
    async with open_desk() as desk:
        await desk.until("half a thought")


async def test_a_chat_that_is_not_saved_leaves_no_draft_on_the_disk(home: Path) -> None:
    async with open_desk() as desk:
        desk.bench.state.blank = Blank(saved=False)
        await desk.press(*"a secret")
        desk.bench.keep_draft()
        assert list(home.rglob("composer/*")) == []


async def test_leaving_keeps_what_is_typed() -> None:
    engine = FakeEngine()
    engine.add_chat("c1", "One", ("a", "b"))
    async with open_desk(engine) as desk:
        await desk.press(*"not yet", "ctrl+q")
        await desk.until(lambda: engine.chats["c1"].draft == "not yet")


async def test_files_come_back_with_a_prompt_that_was_refused(folder: Path) -> None:
    async with open_desk() as desk:
        desk.engine.refuse(commands.Send, "disk_full", "The disk is full")
        desk.bench.attach("notes.txt")
        await desk.until("@notes.txt")
        await desk.press(*"hi", "enter")
        await desk.until("The disk is full")
        await desk.until(lambda: desk.bench.composer.text == "hi" and attached(desk) == ["notes.txt"])


# --- pastes ---------------------------------------------------------------------------------


async def test_a_big_paste_is_one_chip_that_is_opened_when_it_is_sent() -> None:
    async with open_desk(counting(FakeEngine())) as desk:
        await desk.press(*"See ")
        paste(desk, "\r\n".join(f"line {n}" for n in range(214)))
        await desk.until("[pasted 214 lines · 428 tokens]")
        await desk.press(*" ok")
        assert desk.bench.composer.text == "See [pasted 214 lines · 428 tokens] ok"
        assert desk.engine.asked(commands.Send) == []
        await desk.press("enter")
        await desk.until(lambda: desk.engine.asked(commands.Send))
        text = desk.engine.asked(commands.Send)[0].text
        assert text == "See " + "\n".join(f"line {n}" for n in range(214)) + " ok"


async def test_a_chip_is_walked_over_and_deleted_as_one() -> None:
    async with open_desk() as desk:
        composer = desk.bench.composer
        await desk.press("a")
        paste(desk, "x" * 3000)
        await desk.until("[pasted 3,000 characters]")
        await desk.press("b", "left", "left")
        assert composer.cursor_location == (0, 1)
        await desk.press("right", "c")
        assert composer.text == "a[pasted 3,000 characters]cb"
        composer.move_cursor((0, 9))  # by the mouse
        await desk.press("d")
        assert composer.text == "a[pasted 3,000 characters]dcb"
        composer.move_cursor((0, 26))
        await desk.press("backspace")
        assert composer.text == "adcb"
        composer.undo()
        assert composer.whole == "a" + "x" * 3000 + "dcb"


async def test_small_pastes_stay_text_with_one_kind_of_line_end_and_send_nothing() -> None:
    async with open_desk() as desk:
        paste(desk, "one\rtwo\r\nthree\n")
        await desk.until(lambda: desk.bench.composer.text == "one\ntwo\nthree\n")
        paste(desk, "a\u202eb\x1b[31m")
        await desk.until(lambda: desk.bench.composer.text.endswith("ab[31m"))
        assert desk.engine.asked(commands.Send) == []


async def test_a_dropped_file_is_offered_and_tab_attaches_it(folder: Path) -> None:
    async with open_desk() as desk:
        paste(desk, f"'{folder}/two words/deep.md' ")
        await desk.until("Tab attaches this file")
        await desk.press("tab")
        await desk.until("@two words/deep.md")
        assert desk.bench.composer.text == ""
        paste(desk, (folder / "notes.txt").as_uri())
        await desk.until("Tab attaches this file")
        await desk.press("enter")
        await desk.until(lambda: desk.engine.asked(commands.Send))
        assert desk.engine.asked(commands.Send)[0].text == (folder / "notes.txt").as_uri()


# --- prompts of before, and what waits ------------------------------------------------------


async def test_up_walks_the_prompts_of_all_chats_that_begin_as_typed() -> None:
    engine = FakeEngine()
    engine.add_chat("c1", "Old", ("What is a lien?", "A claim."), ("Who pays?", "You."))
    engine.add_chat("c2", "New", ("Write a poem", "No."))
    async with open_desk(engine) as desk:
        composer = desk.bench.composer
        await desk.press("up")
        await desk.until(lambda: composer.text == "Write a poem")
        await desk.press("up")
        await desk.until(lambda: composer.text == "Who pays?")
        await desk.press("down", "down")
        await desk.until(lambda: composer.text == "")
        await desk.press(*"Wh", "up", "up")
        await desk.until(lambda: composer.text == "What is a lien?")
        await desk.press("down", "down")
        await desk.until(lambda: composer.text == "Wh")


async def test_up_in_an_empty_composer_takes_back_what_still_waits(folder: Path) -> None:
    async with open_desk() as desk:
        await desk.say("first")
        desk.engine.answer("working")
        await desk.until("working")
        desk.bench.attach("notes.txt")
        await desk.until("@notes.txt")
        await desk.say("second")
        await desk.press("up")
        await desk.until(lambda: desk.bench.composer.text == "second")
        reply = desk.engine.messages["c1"][-1]
        assert [each.message for each in desk.engine.asked(commands.StopReply)] == [reply.id]
        assert [each.message for each in desk.engine.asked(commands.DeleteMessage)] == [reply.parent]
        await desk.until(lambda: attached(desk) == ["notes.txt"])


async def test_escape_on_a_waiting_prompt_takes_it_back() -> None:
    async with open_desk() as desk:
        await desk.say("first")
        desk.engine.answer("working")
        await desk.until("working")
        await desk.say("second")
        await desk.until("takes it back")
        await desk.press("alt+up", "escape")
        await desk.until(lambda: desk.bench.composer.text == "second")
        stopped = [each.message for each in desk.engine.asked(commands.StopReply)]
        assert stopped == [desk.engine.messages["c1"][-1].id]


async def test_a_prompt_that_is_being_answered_is_not_taken_back() -> None:
    async with open_desk() as desk:
        await desk.say("first")
        desk.engine.answer("working")
        await desk.until("working")
        await desk.press("up")
        await desk.until(lambda: desk.bench.composer.text == "first")
        assert desk.engine.asked(commands.StopReply) == []


# --- words ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "stops"),
    [
        ("one two", [4, 0]),
        ("東京タワーに行きます", [6, 5, 2, 0]),
        ("日本語 text", [4, 0]),
    ],
)
async def test_words_end_where_the_script_changes(text: str, stops: list[int]) -> None:
    async with open_desk() as desk:
        composer = desk.bench.composer
        composer.put(text)
        found = []
        while composer.cursor_location[1]:
            await desk.press("alt+b")
            found.append(composer.cursor_location[1])
        assert [at for at in found if at in stops] == stops


async def test_a_word_of_kanji_is_deleted_alone() -> None:
    async with open_desk() as desk:
        composer = desk.bench.composer
        composer.put("東京タワーへ")
        await desk.press("home", "alt+d")
        assert composer.text == "タワーへ"
        await desk.press("end", "ctrl+w", "ctrl+w")
        assert composer.text == ""


async def test_wide_characters_make_the_composer_as_high_as_they_need() -> None:
    async with open_desk(size=NARROW) as desk:
        composer = desk.bench.composer
        composer.put("漢" * 70)
        width = composer.wrap_width
        await desk.until(lambda: composer.size.height == -(-140 // (width - width % 2)))
        composer.put("👩‍🚀" * 3)
        await desk.until(lambda: composer.size.height == 1)


async def test_a_folder_of_many_files_does_not_hold_up_the_keys(folder: Path) -> None:
    for n in range(5000):
        (folder / f"file{n:04}.txt").touch()
    async with open_desk() as desk:
        started = time.monotonic()
        await desk.press(*"@file49")
        await desk.until("file4900.txt")
        assert time.monotonic() - started < 5.0


async def test_enter_in_the_same_burst_sends_what_was_typed_and_not_what_was_offered_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_desk() as desk:
        composer = desk.bench.composer
        told: list[str] = []
        composer.put("/system")
        await desk.until(lambda: composer.completing)
        with monkeypatch.context() as watched:
            watched.setattr(desk.bench, "take_text", told.append)
            composer.insert(" Be brief.")
            composer.action_send()
        assert told == ["/system Be brief."]


async def test_keys_behind_a_binding_in_the_same_burst_find_it_done() -> None:
    async with open_desk() as desk:
        await desk.replied("First.", "Yes.")
        first = desk.bench.state.chat
        for key in ("ctrl+n", *"Second.", "enter"):
            character = key if len(key) == 1 else None
            desk.app.post_message(keyboard.Key(key, character))
        await desk.until(lambda: len(desk.engine.asked(commands.Send)) == 2)
        assert [each.text for each in desk.engine.asked(commands.Send)] == ["First.", "Second."]
        assert desk.engine.asked(commands.Send)[1].chat != first
        desk.engine.finish("Both.", chat=desk.bench.state.chat)
        await desk.until("Both.")
        await desk.until(lambda: not desk.bench.transcript.busy)


async def test_keys_behind_one_that_opens_a_screen_go_to_that_screen() -> None:
    async with open_desk() as desk:
        for key in ("f1", *"train"):
            desk.app.post_message(keyboard.Key(key, key if len(key) == 1 else None))
        await desk.until(lambda: isinstance(desk.app.screen, Help))
        await desk.pilot.pause(0.1)
        assert desk.bench.composer.text == ""
