"""Copying a message, a code block, the chat; by which way; saving code; raw text; wide code; formulas."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest
from textual.widgets.markdown import MarkdownFence

from engine.api import commands, data_dir, events
from tests.tui.desk import Desk, open_desk
from tui import clipboard
from tui.modals.confirm import Confirm
from tui.modals.save_code import SaveCode
from tui.widgets.answer import Answer
from tui.widgets.fence import OPEN_GAP, Fence

CODE = "See:\n\n```python\nprint(1)\n```\n\nand\n\n- in a list\n  ```sh\n  ls\n  ```\n"
WIDE = "```text\n" + "0123456789" * 30 + "\n```"


async def in_transcript(desk: Desk) -> None:
    await desk.press("tab")
    await desk.until(lambda: desk.app.focused is desk.bench.transcript)


async def test_y_copies_at_once_and_a_digit_right_after_it_takes_a_code_block_instead() -> None:
    async with open_desk() as desk:
        await desk.replied("code?", CODE)
        await in_transcript(desk)
        await desk.press("y")
        await desk.until("1 to 2: that code block.")
        assert desk.app.clipboard == CODE
        await desk.press("2")
        await desk.until("code block 2")
        assert desk.app.clipboard == "ls"
        await desk.press("1")
        await desk.until("y and then a digit")
        assert desk.app.clipboard == "ls"


async def test_a_code_block_that_is_not_there_is_said() -> None:
    async with open_desk() as desk:
        await desk.replied("code?", CODE)
        await in_transcript(desk)
        await desk.press("y", "7")
        await desk.until("There is no code block 7: this message has 2 code blocks.")
        assert desk.app.clipboard == CODE


async def test_the_slash_command_copies_raw_rendered_or_a_block() -> None:
    async with open_desk() as desk:
        await desk.replied("code?", "so **$x^2$** is\n\n```\nx\n```")
        for argument, copied in (
            (" raw", "so **$x^2$** is\n\n```\nx\n```"),
            (" rendered", "so x² is\n\nx"),
            (" 1", "x"),
        ):
            desk.bench.composer.put(f"/copy{argument}")
            await desk.press("enter")
            await desk.until(lambda copied=copied: desk.app.clipboard == copied)
        desk.bench.composer.put("/copy nonsense")
        await desk.press("enter")
        await desk.until("/copy takes raw, rendered")


async def test_what_is_too_long_for_the_terminal_goes_into_a_file_and_that_is_said(home: Path) -> None:
    async with open_desk() as desk:
        text = "x" * (clipboard.OSC52_LIMIT + 1)
        await desk.replied("long?", "short")
        desk.bench.copy(text)
        await desk.until("Too long for the terminal's clipboard")
        path = next(home.rglob("copied.txt"))
        assert path.read_text() == text
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert desk.app.clipboard == ""


async def test_a_clipboard_tool_of_this_machine_comes_first(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home / "bin"
    folder.mkdir()
    tool = folder / "wl-copy"
    tool.write_text(f"#!/bin/sh\ncat > {home}/taken\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    monkeypatch.delenv("SSH_TTY", raising=False)
    async with open_desk() as desk:
        await desk.replied("hi", "çok güzel")
        await in_transcript(desk)
        await desk.press("y")
        await desk.until("Copied the message (9 characters) with wl-copy.")
        assert (home / "taken").read_text() == "çok güzel"


async def test_a_tool_that_fails_leaves_it_to_the_terminal(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home / "bin"
    folder.mkdir()
    (folder / "wl-copy").write_text("#!/bin/sh\nexit 1\n")
    (folder / "wl-copy").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    monkeypatch.delenv("SSH_TTY", raising=False)
    async with open_desk() as desk:
        await desk.replied("hi", "there")
        await in_transcript(desk)
        await desk.press("y")
        await desk.until("terminal's clipboard")
        assert desk.app.clipboard == "there"


@pytest.mark.parametrize(
    ("environ", "there", "tool"),
    [
        ({"WAYLAND_DISPLAY": "w", "DISPLAY": ":0"}, {"wl-copy", "xclip"}, "wl-copy"),
        ({"WAYLAND_DISPLAY": "w", "DISPLAY": ":0"}, {"xclip", "xsel"}, "xclip"),
        ({"DISPLAY": ":0"}, {"xsel", "wl-copy"}, "xsel"),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "1 2 3 4"}, {"xclip"}, ""),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "1 2 3 4", "TMUX": "x"}, {"xclip", "tmux"}, "tmux"),
        ({"DISPLAY": ":0", "TMUX": "x"}, {"xclip", "tmux"}, "xclip"),
        ({"WSL_DISTRO_NAME": "Ubuntu"}, {"clip.exe"}, "clip.exe"),
        ({}, {"xclip", "wl-copy", "xsel"}, ""),
    ],
)
def test_which_tool_is_taken(
    environ: dict[str, str], there: set[str], tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    found = clipboard.tool(environ, lambda name: name if name in there else None)
    assert (found[0] if found else "") == tool


@pytest.mark.parametrize("environ", [{"TERM": "linux"}, {"STY": "1.pts-0.box", "TERM": "screen-256color"}])
async def test_where_the_terminal_has_no_clipboard_a_file_gets_the_text(
    environ: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in environ.items():
        monkeypatch.setenv(key, value)
    async with open_desk() as desk:
        await desk.replied("hi", "there")
        await in_transcript(desk)
        await desk.press("y")
        await desk.until("This terminal has no clipboard: wrote the message (5 characters) to")
        assert (data_dir() / "copied.txt").read_text() == "there"


async def test_s_and_a_digit_save_a_code_block_for_its_owner_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    async with open_desk() as desk:
        await desk.replied("code?", CODE)
        await in_transcript(desk)
        await desk.press("s")
        await desk.until("Which code block? Press 1 to 2.")
        await desk.press("1")
        await desk.until(lambda: isinstance(desk.app.screen, SaveCode))
        await desk.press("enter")
        await desk.until(lambda: (home / "code-1.py").exists())
        await desk.until("code-1.py")
        assert (home / "code-1.py").read_text() == "print(1)\n"
        assert stat.S_IMODE((home / "code-1.py").stat().st_mode) == 0o600


async def test_nothing_is_replaced_without_a_question(home: Path) -> None:
    path = home / "mine.py"
    path.write_text("mine")
    async with open_desk() as desk:
        await desk.replied("code?", CODE)
        desk.bench.composer.put(f"/save_code 1 {path}")
        await desk.press("enter")
        await desk.until(lambda: isinstance(desk.app.screen, Confirm))
        await desk.press("escape")
        await desk.until(lambda: desk.app.screen is desk.bench)
        assert path.read_text() == "mine"
        desk.bench.composer.put(f"/save_code 1 {path}")
        await desk.press("enter")
        await desk.until(lambda: isinstance(desk.app.screen, Confirm))
        await desk.press("enter")
        await desk.until(lambda: path.read_text() == "print(1)\n")


async def test_a_place_that_cannot_be_written_is_said(home: Path) -> None:
    async with open_desk() as desk:
        await desk.replied("code?", CODE)
        desk.bench.composer.put(f"/save_code 1 {home}/none/x.py")
        await desk.press("enter")
        await desk.until("The code block was not saved")


async def test_code_blocks_show_their_number_and_their_language() -> None:
    async with open_desk() as desk:
        await desk.replied("code?", CODE)
        text = await desk.until("2 sh")
        assert "1 python" in text
        assert [fence.number for fence in desk.bench.transcript.query(Fence)] == [1, 2]


async def test_wide_code_scrolls_sideways_by_keys() -> None:
    async with open_desk() as desk:
        await desk.replied("code?", WIDE)
        await desk.until("1 text")
        await in_transcript(desk)
        fence = desk.bench.transcript.query_one(Fence)
        box = fence.children[1]
        await desk.until(lambda: box.max_scroll_x > 100)
        await desk.press("greater_than_sign")
        await desk.until(lambda: box.scroll_x == 12)
        await desk.press("shift+left")
        await desk.until(lambda: box.scroll_x == 0)


async def test_x_shows_a_reply_as_it_is_stored_and_back() -> None:
    async with open_desk() as desk:
        await desk.replied("formula?", "It is $x^2$, **so**.")
        await desk.until("It is x², so.")
        await in_transcript(desk)
        await desk.press("x")
        await desk.until("It is $x^2$, **so**.")
        assert desk.bench.state.engine.turns[desk.engine.reply().id].text == "It is $x^2$, **so**."
        await desk.press("x")
        await desk.until("It is x², so.")


async def test_a_formula_stays_raw_until_it_is_closed() -> None:
    async with open_desk() as desk:
        await desk.say("formula?")
        desk.engine.answer("It is \\(x^2")
        await desk.until("It is \\(x^2")
        reply = desk.engine.reply()
        desk.engine.emit(
            events.TextDelta(chat="c1", message=reply.id, part="answer", offset=11, text="+1\\) here")
        )
        await desk.until("It is x²+1 here")


async def test_an_open_code_block_is_coloured_at_most_twice_a_second_and_once_when_it_closes() -> None:
    async with open_desk() as desk:
        await desk.say("code?")
        text = "```python\n"
        desk.engine.answer(text)
        await desk.until("1 python")
        reply = desk.engine.reply()
        started = time.monotonic()
        for n in range(12):
            piece = f"value_{n} = {n}\n"
            desk.engine.emit(
                events.TextDelta(chat="c1", message=reply.id, part="answer", offset=len(text), text=piece)
            )
            text += piece
            await desk.until(f"value_{n} = {n}", 5.0)
        answer = desk.bench.transcript.query_one(Answer)
        open_count = answer.colours.count
        assert open_count <= 2 + (time.monotonic() - started) / OPEN_GAP
        closing = "```\n\nDone."
        desk.engine.emit(
            events.TextDelta(chat="c1", message=reply.id, part="answer", offset=len(text), text=closing)
        )
        await desk.until("Done.")
        closed_count = answer.colours.count
        assert closed_count <= open_count + 1
        desk.engine.finish(text + closing)
        await desk.until(lambda: not desk.bench.transcript.busy)
        assert answer.colours.count == closed_count
        fence = desk.bench.transcript.query_one(Fence)
        coloured = MarkdownFence.highlight(fence.code, "python", dark=True)
        assert fence._highlighted_code.is_same(coloured)
        assert answer.source == text + closing


async def test_the_tail_is_drained_when_a_reply_is_stopped() -> None:
    async with open_desk() as desk:
        await desk.say("go")
        reply, text = desk.engine.reply(), ""
        desk.engine.answer("")
        for n in range(40):
            piece = f"word{n} "
            desk.engine.emit(
                events.TextDelta(chat="c1", message=reply.id, part="answer", offset=len(text), text=piece)
            )
            text += piece
        desk.engine.finish(text, finish="cancelled")
        await desk.until("word39")
        assert desk.bench.transcript.query_one(Answer).source == text


async def test_keep_thoughts_is_a_switch_of_the_chat() -> None:
    async with open_desk() as desk:
        await desk.replied("hi", "there")
        desk.bench.composer.put("/keep_thoughts")
        await desk.press("enter")
        await desk.until("Earlier thoughts are sent")
        assert desk.engine.asked(commands.ChangeChat)[-1].settings.keep_thoughts is True
        desk.bench.composer.put("/keep_thoughts")
        await desk.press("enter")
        await desk.until("Earlier thoughts are left out")
        assert desk.engine.asked(commands.ChangeChat)[-1].settings.keep_thoughts is False
