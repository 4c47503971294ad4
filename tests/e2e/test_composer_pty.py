"""The composer in a real terminal: the person's editor, pastes, and keys that come early."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from engine.api import Client, Target, commands, connect
from tests.support.pty_app import PtyApp

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.timeout(180)]


def script(home: Path, name: str, body: str) -> str:
    path = home / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


async def test_the_editor_gets_the_draft_in_a_private_file_and_its_text_comes_back(home: Path) -> None:
    body = f'cat "$1" > {home}/seen; stat -c %a "$1" > {home}/mode; stty -a > {home}/tty'
    editor = script(home, "editor", f'{body}; printf "and more" >> "$1"; echo "$1" > {home}/name')
    with PtyApp(env={"VISUAL": editor}) as app:
        await app.until("Ask something")
        app.type("first words")
        await app.until("first words")
        app.press("ctrl+g")
        await app.until("and more")
        assert (home / "seen").read_text() == "first words\n"
        assert (home / "mode").read_text().strip() == "600"
        assert " icanon" in (home / "tty").read_text()
        app.type("!")
        await app.until("and more!")
        assert not Path((home / "name").read_text().strip()).exists()
        app.press("ctrl+q")
        assert await app.exited() == 0
        assert app.cooked


async def test_an_editor_that_fails_or_is_not_there_leaves_the_draft(home: Path) -> None:
    editor = script(home, "broken", 'echo gone > "$1"; exit 3')
    with PtyApp(env={"VISUAL": editor}) as app:
        await app.until("Ask something")
        app.type("kept words")
        await app.until("kept words")
        app.press("ctrl+g")
        await app.until("ended with status 3")
        assert "kept words" in app.text()
    with PtyApp(env={"VISUAL": "", "EDITOR": "no-such-editor", "PATH": str(home)}) as app:
        await app.until("Enter send")  # the first one's draft may be there again
        app.type(" and others")
        await app.until("and others")
        app.press("ctrl+g")
        await app.until("no-such-editor")
        assert "and others" in app.text()


async def test_ctrl_c_in_the_editor_is_the_editors_alone(home: Path) -> None:
    editor = script(
        home,
        "patient",
        f'trap "echo stopped > {home}/trap; exit 0" INT; touch {home}/up; while true; do sleep 0.1; done',
    )
    with PtyApp(env={"VISUAL": editor}) as app:
        await app.until("Ask something")
        app.type("words")
        await app.until("words")
        app.press("ctrl+g")
        deadline = time.monotonic() + 20
        while not (home / "up").exists():
            assert time.monotonic() < deadline
            app.pump()
        app.press("ctrl+c")
        await app.until(lambda _: (home / "trap").exists(), what="the editor's own Ctrl+C")
        await app.until("words")
        app.type(" again")
        await app.until("words again")


async def test_a_bracketed_paste_of_many_lines_is_a_chip_and_sends_nothing() -> None:
    with PtyApp() as app:
        await app.until("Ask something")
        app.type("\x1b[200~" + "\r".join(f"line {n}" for n in range(30)) + "\r\x1b[201~")
        await app.until("[pasted 30 lines")
        assert "You" not in app.text()


@pytest.mark.parametrize("pause", [0.0, 0.1, 0.3, 0.5])
async def test_what_is_typed_before_the_first_paint_is_in_the_composer(pause: float) -> None:
    with PtyApp() as app:
        time.sleep(pause)  # the moment is what is tested
        app.type("early birds")
        await app.until("› early birds", 8.0)


async def test_an_enter_typed_before_the_first_paint_sends() -> None:
    with PtyApp() as app:
        app.type("What is 2 + 3?\r")
        lines = await app.until("You")
        assert any("What is 2 + 3?" in line for line in lines)


async def test_newline_keys_are_hinted_as_the_terminal_reports_them() -> None:
    with PtyApp() as app:
        await app.until("Ctrl+J newline")
        app.type("\x1b[?25u")  # what a terminal with the kitty protocol answers
        await app.until("Shift+Enter newline")
        app.type("a\x1b[13;2ub")
        await app.until(lambda lines: any("› a " in line for line in lines), 10.0, what="two lines")


async def test_keys_of_one_burst_act_in_their_order() -> None:
    with PtyApp() as app:
        await app.until("Ask something")
        app.type("ab\x7fc\x1b[Dd\x1b[F\nsecond")
        await app.until("› adc ", 10.0)
        await app.until(lambda lines: any("  second " in line for line in lines), 10.0, what="two lines")


async def test_what_is_typed_right_after_enter_stays() -> None:
    with PtyApp() as app:
        await app.until("Ask something")
        app.type("What is 1 + 2?\rnext one")
        await app.until("› next one", 10.0)
        await app.until("= 3", what="the answer to what was sent")


async def test_messages_and_chats_of_one_burst_are_each_their_own() -> None:
    with PtyApp() as app:
        await app.until("Ask something")  # the link need not be open yet
        app.type("What is 1 + 2?\rWhat is 20 + 3?\r/new\rWhat is 300 + 4?\r\x0eWhat is 5 + 50?\r")
        await app.until("= 55", what="the answer to the last one")
        client = await connect(Target())
        try:
            listed: commands.ChatList = await client.request(commands.ListChats())
            chats = [await asked(client, each.id) for each in listed.chats]
        finally:
            await client.close()
    assert sorted(chats) == [["What is 1 + 2?", "What is 20 + 3?"], ["What is 300 + 4?"], ["What is 5 + 50?"]]


async def asked(client: Client, chat: str) -> list[str]:
    page: commands.ChatPage = await client.request(commands.ReadChat(chat))
    return [each.text for each in page.messages if each.role == "user"]
