"""Following, pausing, selecting, copying, long chats."""

from __future__ import annotations

import pytest

from engine.api import commands, events
from tests.support.fake_engine import FakeEngine
from tests.tui.desk import Desk, open_desk
from tui.widgets import window
from tui.widgets.turn import TurnView

STEP, WINDOW = 12, 48
"""Messages mounted at once and at most, of `small_window`."""


@pytest.fixture
def small_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chat of 60 messages is longer than the window; a step still fills more than the screen."""
    monkeypatch.setattr(window, "STEP", STEP)
    monkeypatch.setattr(window, "WINDOW", WINDOW)


def long_chat(pairs: int = 30) -> FakeEngine:
    """An engine with one long chat in it."""
    engine = FakeEngine()
    engine.add_chat("old", "long chat", *((f"question {n}", f"answer {n}") for n in range(pairs)))
    return engine


def middle(desk: Desk) -> list[str]:
    """The transcript's lines, as painted, without its scrollbar."""
    return [line.split("│")[1][:-2].rstrip() for line in desk.text().split("\n")[3:30]]


LONG = "\n\n".join(f"paragraph {n}" for n in range(40))


async def test_it_follows_what_is_written_until_the_reader_moves_up() -> None:
    async with open_desk() as desk:
        await desk.say("go")
        desk.engine.answer(LONG)
        await desk.until("paragraph 39")
        await desk.press("pageup")
        await desk.until(lambda: not desk.bench.transcript.following)
        top = desk.bench.transcript.scroll_y
        reply = desk.engine.reply()
        more = "\n\nnewest line"
        desk.engine.emit(
            events.TextDelta(chat="c1", message=reply.id, part="answer", offset=len(LONG), text=more)
        )
        text = await desk.until("new line")
        assert "newest line" not in text
        assert "↓ 2 new lines" in text
        assert desk.bench.transcript.scroll_y == top
        await desk.press("tab", "G")
        text = await desk.until("newest line")
        assert desk.bench.transcript.following
        await desk.until(lambda: "new lines" not in desk.text())


async def test_scrolling_down_to_the_end_follows_again() -> None:
    async with open_desk() as desk:
        await desk.replied("go", LONG)
        await desk.press("pageup")
        await desk.until(lambda: not desk.bench.transcript.following)
        await desk.press("pagedown", "pagedown", "pagedown")
        await desk.until(lambda: desk.bench.transcript.following)


async def test_a_short_chat_starts_at_the_top() -> None:
    async with open_desk() as desk:
        await desk.replied("hello", "there")
        lines = desk.text().split("\n")
        assert any("You" in line for line in lines[:5])


async def test_alt_up_selects_and_shows_the_numbers_y_copies() -> None:
    async with open_desk() as desk:
        await desk.replied("one", "uno")
        await desk.replied("two", "dos")
        await desk.press("alt+up")
        await desk.until("41.2 tok/s · first after 180 ms")
        await desk.press("y")
        await desk.until("clipboard")
        assert desk.app.clipboard == "dos"
        await desk.press("k", "k", "y")
        assert desk.app.clipboard == "uno"
        await desk.press("Y")
        assert desk.app.clipboard == "## You\n\none\n\n## demo\n\nuno\n\n## You\n\ntwo\n\n## demo\n\ndos\n"
        await desk.press("escape")
        assert desk.app.focused is desk.bench.composer


async def test_letters_are_text_in_the_composer() -> None:
    async with open_desk() as desk:
        await desk.press(*"jkgGyr")
        await desk.press("question_mark")
        assert desk.bench.composer.text == "jkgGyr?"


async def test_help_lists_the_keys_of_the_pane_one_comes_from_first() -> None:
    async with open_desk() as desk:
        await desk.press("tab", "question_mark")
        text = await desk.until("In the transcript")
        assert "In the composer" not in text.split("In the transcript")[0]
        await desk.press("escape")
        await desk.until(lambda: "In the transcript" not in desk.text())


@pytest.mark.usefixtures("small_window")
async def test_a_long_chat_mounts_a_window_and_every_message_can_be_reached() -> None:
    engine = long_chat()
    async with open_desk(engine) as desk:
        await desk.until("answer 29")
        transcript = desk.bench.transcript
        assert len(transcript.mounted) == STEP
        await desk.press("tab")
        await desk.until(lambda: desk.app.focused is transcript)
        seen: set[str] = set()
        while not {"m1"} <= seen:
            await desk.press("g")
            seen |= set(transcript.mounted)
            assert len(transcript.mounted) <= WINDOW
        await desk.press("g")
        await desk.until("question 0")
        path = desk.bench.state.engine.pages["old"].path
        assert seen == set(path)
        assert len(path) == 60
        assert transcript.mounted[-1] != path[-1]
        assert not transcript.whole
        befores = [command.before for command in desk.engine.asked(commands.ReadChat)]
        assert befores[0] is None
        assert all(befores[1:])


@pytest.mark.usefixtures("small_window")
async def test_on_the_way_down_again_the_newer_messages_come_back_and_following_resumes() -> None:
    engine = long_chat()
    async with open_desk(engine) as desk:
        await desk.until("answer 29")
        transcript = desk.bench.transcript
        await desk.press("tab")
        await desk.until(lambda: desk.app.focused is transcript)
        while "m1" not in transcript.mounted:
            await desk.press("g")
        assert not transcript.whole
        while not transcript.following:
            await desk.press("pagedown")
            assert len(transcript.mounted) <= WINDOW
        assert transcript.whole
        await desk.until("answer 29")


@pytest.mark.usefixtures("small_window")
async def test_end_from_far_above_goes_to_the_newest_line_at_once() -> None:
    engine = long_chat()
    async with open_desk(engine) as desk:
        await desk.until("answer 29")
        transcript = desk.bench.transcript
        await desk.press("tab")
        await desk.until(lambda: desk.app.focused is transcript)
        while "m1" not in transcript.mounted:
            await desk.press("g")
        await desk.press("G")
        await desk.until("answer 29")
        assert transcript.following
        assert transcript.whole


@pytest.mark.usefixtures("small_window")
async def test_lines_of_messages_that_are_off_the_screen_are_counted_too() -> None:
    engine = long_chat()
    async with open_desk(engine) as desk:
        await desk.until("answer 29")
        transcript = desk.bench.transcript
        await desk.press("tab")
        await desk.until(lambda: desk.app.focused is transcript)
        while "m1" not in transcript.mounted:
            await desk.press("g")
        assert transcript.unseen == 0
        message = engine._message("old", "user", "one\ntwo\nthree")
        engine.messages["old"].append(message)
        engine.emit(events.MessageAdded(message=message))
        await desk.until(lambda: transcript.unseen)
        await desk.until("new line")
        assert message.id not in transcript.mounted


@pytest.mark.usefixtures("small_window")
async def test_while_following_what_is_far_above_is_taken_off_the_screen() -> None:
    engine = long_chat(10)
    async with open_desk(engine) as desk:
        await desk.until("answer 9")
        chat = "old"
        for n in range(WINDOW):
            message = engine._message(chat, "user", f"extra {n}")
            engine.messages[chat].append(message)
            engine.emit(events.MessageAdded(message=message))
        await desk.until(f"extra {WINDOW - 1}")
        assert len(desk.bench.transcript.query(TurnView)) <= WINDOW


async def test_what_one_reads_stays_where_it_is_while_older_messages_come() -> None:
    engine = long_chat()
    async with open_desk(engine) as desk:
        await desk.until("answer 29")
        transcript = desk.bench.transcript
        await desk.press("pageup")
        await desk.until(lambda: not transcript.following)
        transcript.scroll_to(y=2, animate=False, immediate=True)
        await desk.pilot.pause()
        first = desk.text().split("\n")[2]
        await transcript.earlier()
        await desk.until(lambda: transcript.scroll_y > 10)
        assert desk.text().split("\n")[2] == first


async def test_what_is_pasted_is_cleaned() -> None:
    from textual.events import Paste

    async with open_desk() as desk:
        desk.app.post_message(Paste("safe\x1b]52;c;x\x07 text\u202e"))
        await desk.until(lambda: desk.bench.composer.text)
        assert desk.bench.composer.text == "safe]52;c;x text"


async def test_any_step_up_pauses_and_the_last_lines_resume() -> None:
    async with open_desk() as desk:
        await desk.replied("go", LONG)
        await desk.until("paragraph 39")
        transcript = desk.bench.transcript

        def up() -> bool:
            """Again and again, for a layout that is still to come may take the first step back."""
            transcript.scroll_up(animate=False)
            return not transcript.following

        def down() -> bool:
            transcript.scroll_down(animate=False)
            return transcript.following

        await desk.until(up)
        await desk.until(down)


async def test_a_thought_folded_above_does_not_move_what_one_reads() -> None:
    async with open_desk() as desk:
        await desk.replied("go", LONG, "\n".join(f"musing {n}" for n in range(50)))
        transcript = desk.bench.transcript
        await desk.press("ctrl+o")
        await desk.until(lambda: transcript.virtual_size.height > 110)
        await desk.press("pageup")
        await desk.until(lambda: not transcript.following)
        await desk.pilot.pause()
        before = middle(desk)
        await desk.press("ctrl+o")
        await desk.until(lambda: transcript.virtual_size.height < 110)
        assert middle(desk) == before
        assert not transcript.following
        assert transcript.unseen == 0


async def test_a_thought_that_grows_above_does_not_move_what_one_reads() -> None:
    async with open_desk() as desk:
        await desk.replied("first", LONG)
        await desk.say("go")
        desk.engine.think("hm", tokens=1, seconds=0.1)
        await desk.until("┊ hm")
        await desk.press("pageup")
        await desk.until(lambda: not desk.bench.transcript.following)
        await desk.pilot.pause()
        top = desk.text().split("\n")[3]
        reply = desk.engine.reply()
        text = "\n".join(f"more {n}" for n in range(30))
        desk.engine.emit(
            events.TextDelta(chat="c1", message=reply.id, part="thinking", offset=2, text=f"\n{text}")
        )
        await desk.until("new line")
        assert desk.text().split("\n")[3] == top


async def test_the_place_and_the_folds_of_a_chat_are_found_again() -> None:
    engine = long_chat(25)
    engine.add_chat("other", "other chat", ("hello", "there"))
    async with open_desk(engine) as desk:
        desk.bench.open_chat("old")
        await desk.until("answer 24")
        transcript = desk.bench.transcript
        await desk.press("pageup", "pageup")
        await desk.until(lambda: not transcript.following)
        await desk.pilot.pause()
        before = middle(desk)
        desk.bench.open_chat("other")
        await desk.until("there")
        kept = [each for each in desk.engine.asked(commands.ChangeChat) if each.view]
        assert kept[-1].chat == "old"
        desk.bench.open_chat("old")
        await desk.until(lambda: middle(desk) == before)
        assert not transcript.following
        await desk.press("tab", "G")
        await desk.until("answer 24")
        desk.bench.open_chat("other")
        await desk.until("there")
        assert desk.bench.state.engine.chats["old"].view == ""


async def test_a_place_is_kept_after_a_pause_too() -> None:
    engine = long_chat(25)
    async with open_desk(engine) as desk:
        await desk.until("answer 24")
        await desk.press("pageup")
        await desk.until(lambda: any(each.view for each in desk.engine.asked(commands.ChangeChat)))
