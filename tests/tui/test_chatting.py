"""Asking, thinking, folding, stopping, asking again."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from engine.api import ErrorInfo, commands, events, specs
from tests.support.fake_engine import FakeEngine
from tests.tui.desk import open_desk
from tui.outbox import Outbox
from tui.state import Pending, State


async def test_an_empty_chat_says_what_to_try() -> None:
    async with open_desk() as desk:
        text = await desk.until("What is 482 + 359?")
        assert "thinking on" in text
        assert "Enter send" in text


async def test_enter_sends_and_the_question_stands_in_the_transcript() -> None:
    async with open_desk() as desk:
        await desk.press(*"hi", "enter")
        await desk.until("You")
        assert [sent.text for sent in desk.engine.asked(commands.Send)] == ["hi"]
        assert desk.bench.composer.text == ""


async def test_ctrl_j_makes_a_line_and_the_composer_grows() -> None:
    async with open_desk() as desk:
        await desk.press("a", "ctrl+j", "b", "ctrl+j", "c")
        assert desk.bench.composer.text == "a\nb\nc"
        await desk.until(lambda: desk.bench.composer.size.height == 3)
        for _ in range(12):
            await desk.press("ctrl+j")
        await desk.until(lambda: desk.bench.composer.size.height == 8)
        assert desk.engine.asked(commands.Send) == []


async def test_thinking_streams_behind_a_bar_then_folds_when_the_answer_starts() -> None:
    async with open_desk() as desk:
        await desk.say("What is 482 + 359?")
        desk.engine.think("carry the one", tokens=61, seconds=1.2)
        text = await desk.until("┊ carry the one")
        clock = re.search(r"thinking (\d+\.\d) s", text)
        assert clock
        assert float(clock[1]) >= 1.2  # what the engine told, and what has passed since
        assert "61 tokens" in text
        assert "F6 answer now" in text
        desk.engine.answer("It is 841.")
        text = await desk.until("It is 841.")
        assert "▸ thought 1.2 s · 61 tokens" in text
        assert "┊" not in text


async def test_each_new_line_of_a_thought_appears_as_it_comes() -> None:
    async with open_desk() as desk:
        await desk.say("Why?")
        desk.engine.think("", tokens=1, seconds=0.1)
        await desk.until("▾ thinking")
        reply, offset = desk.engine.reply(), 0
        for n in range(4):
            piece = f"line {n}\n"
            desk.engine.emit(
                events.TextDelta(chat="c1", message=reply.id, part="thinking", offset=offset, text=piece)
            )
            offset += len(piece)
            await desk.until(f"┊ line {n}", 5.0)


async def test_a_budget_shows_how_much_of_it_is_used() -> None:
    async with open_desk() as desk:
        desk.bench.composer.put("/budget 2048")
        await desk.press("enter")
        await desk.until("budget 2k")
        await desk.say("Why?")
        desk.engine.think("hm", tokens=160, seconds=3.2)
        await desk.until("160 / 2,048 tokens ▓░░░░░░")


async def test_a_thought_that_the_reader_opened_stays_open() -> None:
    async with open_desk() as desk:
        await desk.say("Why?")
        desk.engine.think("\n".join(f"line {n}" for n in range(30)), tokens=60, seconds=1.0)
        text = await desk.until("┊ line 29")
        assert "line 3\n" not in text
        await desk.press("alt+up", "space")
        await desk.until("┊ line 20")
        desk.engine.answer("So.")
        await desk.until(lambda: "So." in desk.text() and "┊ line 29" in desk.text())


async def test_a_thought_that_the_reader_folded_stays_folded() -> None:
    async with open_desk() as desk:
        await desk.say("Why?")
        desk.engine.think("secret musing", tokens=6, seconds=1.0)
        await desk.until("┊ secret")
        await desk.press("ctrl+o")
        await desk.until(lambda: "┊" not in desk.text())
        reply = desk.engine.reply()
        desk.engine.emit(
            events.TextDelta(chat="c1", message=reply.id, part="thinking", offset=13, text=" more")
        )
        await desk.until(lambda: desk.bench.state.engine.turns[reply.id].thinking.endswith("more"))
        assert "┊" not in desk.text()


async def test_ctrl_o_opens_and_folds_all_thoughts() -> None:
    async with open_desk() as desk:
        await desk.replied("one?", "1", "thought of one")
        await desk.replied("two?", "2", "thought of two")
        await desk.press("ctrl+o")
        text = await desk.until("┊ thought of two")
        assert "┊ thought of one" in text
        await desk.press("ctrl+o")
        await desk.until(lambda: "┊" not in desk.text())


async def test_escape_stops_and_the_text_is_kept() -> None:
    async with open_desk() as desk:
        await desk.say("Tell me.")
        desk.engine.answer("Once upon")
        await desk.until("Once upon")
        reply = desk.engine.reply()
        await desk.press("escape")
        await desk.until(lambda: desk.engine.asked(commands.StopReply))
        assert desk.engine.asked(commands.StopReply)[0].message == reply.id
        desk.engine.finish("Once upon", finish="cancelled")
        text = await desk.until("stopped")
        assert "Once upon" in text


async def test_f6_asks_for_the_answer_even_while_the_composer_has_the_focus() -> None:
    async with open_desk() as desk:
        await desk.say("Why?")
        desk.engine.think("hm", tokens=1, seconds=0.1)
        await desk.until("F6 answer now")
        await desk.press("f6")
        await desk.until(lambda: desk.engine.asked(commands.AnswerNow))
        assert desk.engine.asked(commands.AnswerNow)[0].message == desk.engine.reply().id


async def test_ctrl_t_switches_thinking_for_the_chat_to_come_and_for_the_one_there_is() -> None:
    async with open_desk() as desk:
        await desk.press("ctrl+t")
        await desk.until("thinking off")
        await desk.say("hi")
        assert desk.engine.asked(commands.NewChat)[0].settings.think is False
        await desk.press("ctrl+t")
        await desk.until("thinking on")
        assert desk.engine.asked(commands.ChangeChat)[-1].settings.think is True


async def test_the_final_markdown_is_the_stored_text_and_loses_no_html() -> None:
    async with open_desk() as desk:
        await desk.say("Show me.")
        desk.engine.answer("A <b>tag</b> and")
        await desk.until("A <b>tag</b> and")
        desk.engine.finish("A <b>tag</b> and\n\n<div>more</div>\n\n- **one**\n- two")
        text = await desk.until("• two")
        assert "<div>more</div>" in text
        assert "**" not in text


async def test_text_that_looks_like_markup_is_shown_as_it_is() -> None:
    async with open_desk() as desk:
        await desk.replied("[@click=app.quit]x[/] [/b]", "[@click=app.bell]y[/] [bold]z")
        text = await desk.until("[@click=app.bell]y[/] [bold]z")
        assert "[@click=app.quit]x[/] [/b]" in text


async def test_a_failed_reply_says_why_and_what_to_do() -> None:
    async with open_desk() as desk:
        await desk.say("long one")
        error = ErrorInfo("prompt_long", "The prompt is longer than the context", remedy="Start a new chat")
        desk.engine.finish("", finish="failed", error=error)
        await desk.until("The prompt is longer than the context. Start a new chat.")


async def test_r_asks_again_and_the_version_is_shown() -> None:
    async with open_desk() as desk:
        await desk.replied("2 + 2?", "5")
        await desk.press("alt+up", "r")
        await desk.until(lambda: desk.engine.asked(commands.Regenerate))
        desk.engine.finish("4")
        text = await desk.until("‹2/2›")
        assert "4" in text
        assert "5" not in [line.split("│")[1].strip() for line in text.split("\n") if line.count("│") == 2]


async def test_a_reply_that_waits_says_for_what() -> None:
    async with open_desk() as desk:
        await desk.say("hi")
        await desk.until("queued")
        desk.engine.emit(events.ModelLoading(model="demo", progress=0.4, phase="reading weights"))
        await desk.until("loading demo 40 % · reading weights")
        desk.engine.emit(events.ReplyMoved(chat="c1", message=desk.engine.reply().id, state="prefill"))
        await desk.until("reading the prompt")


async def test_a_message_that_cannot_be_sent_comes_back_to_the_composer() -> None:
    engine = FakeEngine()
    engine.refuse(commands.Send, "disk_full", "The disk is full", remedy="Free some space")
    async with open_desk(engine) as desk:
        await desk.press(*"keep", "enter")
        await desk.until("The disk is full.")
        await desk.press("escape")
        await desk.until(lambda: desk.bench.composer.text == "keep")


async def test_up_brings_earlier_prompts_back_and_down_the_draft() -> None:
    async with open_desk() as desk:
        await desk.replied("first", "1")
        await desk.replied("second", "2")
        await desk.press(*"dra", "up")
        assert desk.bench.composer.text == "second"
        await desk.press("up")
        assert desk.bench.composer.text == "first"
        await desk.press("down", "down")
        assert desk.bench.composer.text == "dra"


async def test_ctrl_c_stops_first_and_quits_only_at_the_second_press_after_that() -> None:
    async with open_desk() as desk:
        await desk.say("Tell me.")
        desk.engine.answer("Once")
        await desk.until("Once")
        await desk.press("ctrl+c")
        await desk.until(lambda: desk.engine.asked(commands.StopReply))
        desk.engine.finish("Once", finish="cancelled")
        await desk.until(lambda: desk.bench.state.live() is None)
        await desk.press("ctrl+c")
        await desk.until("Ctrl+C again quits.")
        assert desk.app.is_running
        await desk.press("ctrl+c")
        await desk.until(lambda: desk.app._exit)


async def test_soft_switches_inside_a_message_go_through() -> None:
    async with open_desk() as desk:
        await desk.say("/no_think What is 2 + 2?")
        assert desk.engine.asked(commands.Send)[0].text == "/no_think What is 2 + 2?"


async def test_an_unknown_command_is_kept_for_correction() -> None:
    async with open_desk() as desk:
        desk.bench.composer.put("/nonsense")
        await desk.press("enter")
        await desk.until("There is no command /nonsense.")
        assert desk.bench.composer.text == "/nonsense"
        assert desk.engine.asked(commands.Send) == []


async def test_completion_of_a_slash_command_by_tab_then_enter() -> None:
    async with open_desk() as desk:
        await desk.press("slash", "n", "e")
        await desk.until("/new")
        await desk.press("tab")
        assert desk.bench.composer.text == "/new"
        desk.bench.composer.put("/set temp")
        await desk.until("/set temperature")
        await desk.press("tab", *"0.5", "enter")
        await desk.until("temperature is 0.5")
        assert desk.bench.state.blank.settings.sampling == specs.Sampling(temperature=0.5)


async def test_a_gap_in_the_stream_has_the_chat_read_again() -> None:
    async with open_desk() as desk:
        await desk.say("go")
        before = len(desk.engine.asked(commands.ReadChat))
        desk.engine.answer("late", offset=50)
        await desk.until(lambda: len(desk.engine.asked(commands.ReadChat)) > before)


async def test_what_a_dead_screen_had_on_its_way_is_sent_by_the_next_one(monkeypatch) -> None:
    left = State()
    left.pending.append(Pending("Was this lost?", "", id="a1", opens="c1"))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: gone.pid)
        Outbox().keep(left)
    async with open_desk() as desk:
        await desk.until(lambda: desk.engine.asked(commands.Send))
        (sent,) = desk.engine.asked(commands.Send)
        assert (sent.text, sent.id) == ("Was this lost?", "a1")
        assert [made.id for made in desk.engine.asked(commands.NewChat)] == ["c1"]
        await desk.until("Was this lost?")
        assert Outbox().left_behind() == []


async def test_what_is_typed_after_enter_and_before_the_screen_took_it_stays() -> None:
    async with open_desk() as desk:
        desk.bench.composer.put("hello")
        desk.bench.composer.action_send()
        desk.bench.composer.insert(" and more")
        await desk.until(lambda: desk.engine.asked(commands.Send))
        assert desk.engine.asked(commands.Send)[0].text == "hello"
        assert desk.bench.composer.text == " and more"
