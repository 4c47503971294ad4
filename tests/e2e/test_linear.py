"""`qwill chat` line by line, in a real pty: with the demo model, and with a scripted engine."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.api import Target, commands, connect, events
from tests.support.command import qwill
from tests.support.hostile import MARK, PAYLOADS, found_in
from tests.support.playwright import Playwright
from tests.support.pty_app import QWILL, PtyApp
from tests.support.scripted import engine_with

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
shared = pytest.mark.usefixtures("shared_home")
TALK = [*QWILL, "chat"]
SUM = "What is 482 + 359?"


def below(app: PtyApp, words: str, times: int = 1) -> Callable[[list[str]], object]:
    """Whether the words stand there so often, and a fresh prompt below them."""

    def holds(lines: list[str]) -> bool:
        shown = [line for line in lines if line.strip()]
        return "\n".join(shown).count(words) >= times and bool(shown) and shown[-1].startswith("You:")

    return holds


async def ready(app: PtyApp) -> None:
    await app.until(below(app, "answers"), what="the prompt")


# --- with the demo model ----------------------------------------------------------------------


@shared
async def test_a_talk_of_two_questions_is_plain_lines_and_is_kept() -> None:
    with PtyApp(TALK, columns=80, lines=50) as app:
        await ready(app)
        app.type(SUM + "\r")
        lines = await app.until(below(app, "Done, "))
        told = [line for line in lines if line]
        assert told.index("Thinking.") < told.index("Answer:")
        assert any(line.startswith("Thought for ") and "tokens." in line for line in told)
        assert "841" in told[told.index("Answer:") + 1]
        app.type("/no_think\r")
        await app.until(below(app, "Thinking is off from the next message on."))
        app.type("What can you do?\r")
        lines = await app.until(below(app, "Done, ", 2))
        assert "\n".join(lines).count("Thinking.") == 1
        app.press("ctrl+d")
        assert await app.exited() == 0
        assert "goes on with it" in app.text()
        assert 1049 not in app.modes()
        assert app.modes().get(25, True)
        assert app.cooked

    client = await connect(Target())
    chats = (await client.request(commands.ListChats())).chats
    page = await client.request(commands.ReadChat(chats[0].id))
    await client.close()
    assert [message.role for message in page.messages] == ["user", "assistant"] * 2

    with PtyApp([*TALK, "--continue"], columns=80, lines=50) as app:
        await app.until(below(app, "The last of it:"))
        assert "What can you do?" in app.text()
        app.press("up")
        await app.until("You: What can you do?")
        app.press("up")
        await app.until("You: " + SUM)


@shared
async def test_a_dumb_terminal_of_forty_columns_is_enough() -> None:
    with PtyApp(TALK, {"TERM": "dumb"}, columns=40, lines=60) as app:
        await ready(app)
        app.type(SUM + "\r")
        await app.until(below(app, "Done, "))
        app.type("/theme\r")
        await app.until(below(app, "needs the workbench"))
        app.press("ctrl+c")
        await app.until("Ctrl+C again leaves")
        app.press("ctrl+c")
        assert await app.exited() == 0
        assert b"\x1b" not in app.raw


@shared
async def test_in_a_pipe_answers_are_on_stdout_and_announcements_on_stderr() -> None:
    script = f"{SUM}\n/no_think\n/nonsense\nWhat can you do?\n"
    client = await connect(Target())
    before = (await client.request(commands.ListChats())).chats
    done = await qwill("chat", "--linear", "--no-save", stdin=script)
    assert done.code == 0
    assert done.out.count("841") == 1
    assert "Answer:" not in done.out
    assert done.err.count("Answer:") == 2
    assert "There is no command /nonsense." in done.err
    assert "\x1b" not in done.out + done.err
    after = (await client.request(commands.ListChats())).chats
    await client.close()
    assert after == before


@shared
async def test_the_slash_commands_of_the_workbench_work_without_a_screen(tmp_path: Path) -> None:
    script = [
        "/no_think",
        "/set max_tokens 8",
        "/set temperature nonsense",
        "/budget 64",
        "/system Be brief.",
        "/system",
        "What can you do?",
        "/good",
        "/rename Kira sözleşmesi",
        f"/export {tmp_path}/kept.md",
        "/copy",
        "/thought",
        "/about_reply",
        "/memory",
        "/models",
        "/model nothing of the kind",
        "/adapter",
        "/chats",
        "/search sözleşme",
        "/fork",
        "/delete",
        "/undo",
        "/again",
        "/bye",
        "never read",
    ]
    done = await qwill("chat", "--linear", stdin="\n".join(script) + "\n")
    assert done.code == 0
    for words in (
        "Thinking is off from the next message on.",
        "max_tokens is 8 from the next message on.",
        "temperature is a number from 0 to 5.",
        "Thinking ends after 64 tokens.",
        "The system prompt is:\nBe brief.",
        "Cut at the most tokens allowed, 8 tokens in",
        "The last reply is marked good.",
        "This chat is called “Kira sözleşmesi” now.",
        f"The chat is in {tmp_path}/kept.md.",
        "There is no thought.",
        "demo: 8 tokens, ",
        "Held by: model ",
        "loaded, answers here",
        "No adapter fits demo yet.",
        "/fork needs the workbench: run `qwill`.",
        "Deleted “Kira sözleşmesi”. /undo brings it back.",
        "“Kira sözleşmesi” is back.",
    ):
        assert words in done.err, done.err
    assert "What can you do?" in (tmp_path / "kept.md").read_text()
    assert done.err.count("Answer:") == 2
    assert "never read" not in done.out + done.err


async def test_a_killed_engine_is_one_sentence_and_restart_goes_on() -> None:
    with PtyApp(TALK, columns=100, lines=50) as app:
        await ready(app)
        app.type(SUM + "\r")
        await app.until(below(app, "Done, "))
        client = await connect(Target())
        pid = client.welcome.snapshot.engine.pid
        await client.close()
        os.kill(pid, signal.SIGKILL)
        await app.until("/restart starts it again.")
        app.type("/restart\r")
        await app.until(below(app, "and the chat goes on."))
        app.type("/no_think\r")
        await app.until(below(app, "Thinking is off"))
        app.type("What can you do?\r")
        await app.until(below(app, "Done, ", 2))


@shared
async def test_bare_qwill_talks_line_by_line_where_a_screen_reader_asks() -> None:
    with PtyApp(QWILL, {"QWILL_LINEAR": "1"}, columns=80, lines=24) as app:
        await ready(app)
        app.type("/bye\r")
        assert await app.exited() == 0
        assert 1049 not in app.modes()


# --- with a scripted engine -------------------------------------------------------------------


async def asked(app: PtyApp, play: Playwright, text: str) -> None:
    """Send a message and wait until the engine has it."""
    count = len(play.messages())
    app.type(text + "\r")
    await app.until(lambda _: len(play.messages()) > count, what=f"{text!r} sent")


async def test_ctrl_c_stops_the_reply_and_never_leaves() -> None:
    async with engine_with(Playwright()) as play:
        with PtyApp(TALK) as app:
            await ready(app)
            await asked(app, play, "Count.")  # type: ignore[arg-type]
            play.grow("answer", "so far")  # type: ignore[attr-defined]
            await app.until("so")
            app.press("ctrl+c")
            await app.until(below(app, "Stopped, 41 tokens"))
            app.press("ctrl+c")
            await app.until(below(app, "Ctrl+C again leaves"))
            assert app.exit_code is None
            app.press("ctrl+c")
            assert await app.exited() == 0


async def test_ctrl_c_takes_a_typed_line_back_and_does_not_count() -> None:
    async with engine_with(Playwright()):
        with PtyApp(TALK) as app:
            await ready(app)
            for _ in range(2):
                app.type("half a thought")
                await app.until("half a thought")
                app.press("ctrl+c")
                await app.until(lambda lines: [line for line in lines if line][-1] == "You:")
            assert "Ctrl+C again" not in app.text()
            app.press("ctrl+d")
            assert await app.exited() == 0


async def test_answer_and_messages_typed_while_it_thinks() -> None:
    async with engine_with(Playwright()) as play:
        assert isinstance(play, Playwright)
        with PtyApp(TALK) as app:
            await ready(app)
            await asked(app, play, "Why?")
            play.grow("thinking", "Let me see")
            await app.until("Thinking.")
            app.type("And how?\r/answer\r")
            await app.until("At once.")
            await app.until(lambda _: play.messages() == ["Why?", "And how?"])
            await app.until("You: And how?")
            play.done("Like this.")
            await app.until(below(app, "Like this."))


@pytest.mark.parametrize("shown", [True, False])
async def test_thoughts_are_indented_where_they_are_wanted(shown: bool) -> None:
    async with engine_with(Playwright()) as play:
        assert isinstance(play, Playwright)
        with PtyApp([*TALK, "--show-thinking"] if shown else TALK, columns=40) as app:
            await ready(app)
            await asked(app, play, "Why?")
            thought = "First one thing and then another one, so that it is long."
            play.grow("thinking", thought)
            play.grow("answer", "\n\nBecause.")
            play.done("\n\nBecause.", thinking=thought)
            lines = await app.until(below(app, "Done, 41 tokens"))
            indented = [line for line in lines if line.startswith("  ")]
            assert " ".join(line.strip() for line in indented) == (thought if shown else "")
            assert lines[lines.index("Answer:") + 1] == "Because."


async def test_several_lines_by_backslash_ctrl_j_quotes_and_paste() -> None:
    async with engine_with(Playwright()) as play:
        assert isinstance(play, Playwright)
        with PtyApp(TALK) as app:
            await ready(app)
            for number, typed in enumerate(
                ["one\\\rtwo", "one\ntwo", '"""\rone\rtwo"""', "\x1b[200~one\r\ntwo\x1b[201~"], 1
            ):
                await asked(app, play, typed)
                play.done("ok")
                await app.until(below(app, "Done, 41", number))
    assert play.messages() == ["one\ntwo"] * 4


async def test_control_characters_in_a_reply_do_nothing() -> None:
    paragraphs = "\n\n".join(PAYLOADS.values())
    async with engine_with(Playwright()) as play:
        assert isinstance(play, Playwright)
        with PtyApp([*TALK, "--show-thinking"], columns=120, lines=400) as app:
            await ready(app)
            await asked(app, play, "Go.")
            for part in ("thinking", "answer"):
                for start in range(0, len(paragraphs), 7):
                    play.grow(part, paragraphs[start : start + 7], start)  # type: ignore[arg-type]
            play.done(paragraphs, thinking=paragraphs)
            await app.until(below(app, "Done, 41"))
            assert app.text().count(MARK) > 60
            assert found_in(bytes(app.raw).replace(b"\x1b[0m", b"")) == []


async def test_a_slow_load_is_told_at_quarters() -> None:
    async with engine_with(Playwright()) as play:
        assert isinstance(play, Playwright)
        with PtyApp(TALK) as app:
            await ready(app)
            await asked(app, play, "Hello.")
            play.tell(events.ReplyMoved("c1", "r0", "loading"))
            for quarter in (25, 50, 75):
                for step in range(6):
                    play.tell(events.ModelLoading("demo", (quarter + step) / 100))
                await app.until(f"Loading demo: {quarter} %.")
            play.grow("answer", "Hi.")
            play.done("Hi.")
            lines = await app.until(below(app, "Done, 41"))
            assert [line for line in lines if line.startswith("Loading demo")] == [
                "Loading demo.",
                "Loading demo: 25 %.",
                "Loading demo: 50 %.",
                "Loading demo: 75 %.",
            ]


async def test_a_file_goes_with_the_first_message(tmp_path) -> None:
    (tmp_path / "note.txt").write_text("the note")
    async with engine_with(Playwright()) as play:
        assert isinstance(play, Playwright)
        with PtyApp([*TALK, "-f", str(tmp_path / "note.txt")]) as app:
            await ready(app)
            await asked(app, play, "Read it.")
            play.done("ok")
            await app.until(below(app, "Done"))
    sent = next(command for command in play.asked if isinstance(command, commands.Send))
    assert [(file.name, file.text) for file in sent.files] == [("note.txt", "the note")]
