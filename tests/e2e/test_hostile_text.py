"""Text that tries to command the terminal goes through everything that is painted, and none of it arrives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.api import ErrorInfo, events, specs
from engine.demo import MODEL_FOLDER
from tests.support.command import qwill
from tests.support.hostile import MARK, PAYLOADS, found_in
from tests.support.pty_app import QWILL, PtyApp
from tests.support.scripted import Script, engine_with

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
MODEL = specs.ModelInfo("demo", "demo", source="demo", thinking="switchable", context=2048, state="ready")
CHAT = specs.ChatInfo("c1", "harmless", "demo", updated=2.0, head="a1")
ASKED = specs.Message("u1", "c1", "user", "harmless", created=1.0)
ANSWER = specs.Message("a1", "c1", "assistant", "harmless", parent="u1", model="demo", finish="stop")
TALL = 400
"""Lines of a terminal on which every payload is visible at once."""
MOST = 60
"""Payloads that must be visible; Markdown takes some of the others for links."""
PARAGRAPHS = "\n\n".join(PAYLOADS.values())
IN_BLOCKS = "\n\n".join(
    [
        "# " + PAYLOADS["title"],
        *(f"- {text}" for text in PAYLOADS.values()),
        "```python\n" + "\n".join(PAYLOADS.values()) + "\n```",
        *(f"> {text}" for text in list(PAYLOADS.values())[::8]),
        "| a | b |\n|---|---|\n" + "\n".join(f"| {text} | x |" for text in list(PAYLOADS.values())[::6]),
        *(f"[{text}](http://example.org/{text})" for text in list(PAYLOADS.values())[::6]),
    ]
)


def test_the_check_sees_each_kind_when_it_is_not_cleaned() -> None:
    """Otherwise the tests below would pass on anything; plain markup is text, and is left to the screen."""
    commanding = {name: text for name, text in PAYLOADS.items() if not text.isprintable()}
    assert len(PAYLOADS) >= 60
    assert [name for name, text in commanding.items() if not found_in(text.encode())] == []


async def see(script: Script, *bodies: events.AnyBody, marks: int = 1, keys: tuple[str, ...] = ()) -> str:
    """Show a scripted engine's screen until so many payloads are there; nothing of them may have worked."""
    async with engine_with(script):
        with PtyApp(columns=120, lines=TALL) as app:
            await app.until(lambda _: script.seats)
            await app.settled()
            app.press(*keys)
            script.tell(*bodies)
            await app.until(lambda lines: "\n".join(lines).count(MARK) >= marks)
            await app.settled()
            assert app.exit_code is None
            shown = app.text()
            app.press("ctrl+q")
            assert await app.exited() == 0
            assert found_in(bytes(app.raw)) == []
            return shown


def script(*messages: specs.Message, **parts: object) -> Script:
    return Script(models=(MODEL,), chats=(CHAT,), messages=messages or (ASKED, ANSWER), **parts)  # type: ignore[arg-type]


def with_text(message: specs.Message, **parts: object) -> specs.Message:
    return replace(message, **parts)


async def test_questions() -> None:
    await see(script(with_text(ASKED, text=PARAGRAPHS), ANSWER), marks=MOST)


@pytest.mark.parametrize("text", [PARAGRAPHS, IN_BLOCKS], ids=["paragraphs", "blocks"])
async def test_answers(text: str) -> None:
    await see(script(ASKED, with_text(ANSWER, text=text)), marks=MOST)


async def test_thoughts() -> None:
    await see(script(ASKED, with_text(ANSWER, thinking=PARAGRAPHS)), marks=MOST, keys=("ctrl+o",))


async def test_markup_in_an_answer_is_shown_as_it_was_written() -> None:
    shown = await see(script(with_text(ASKED, text=PAYLOADS["stray end"] + " " + PAYLOADS["action"]), ANSWER))
    assert f"[/b]{MARK}" in shown
    assert f"[@click=app.quit]{MARK}[/]" in shown


async def test_an_answer_that_streams_in_pieces() -> None:
    """Each delta ends in the middle of a sequence."""
    live = with_text(ANSWER, text="", state="queued", finish=None)
    deltas: list[events.AnyBody] = []
    for part in ("thinking", "answer"):
        deltas.append(events.ReplyMoved("c1", "a1", "thinking" if part == "thinking" else "answering"))
        for start in range(0, len(PARAGRAPHS), 7):
            piece = PARAGRAPHS[start : start + 7]
            deltas.append(events.TextDelta("c1", "a1", part, start, piece))  # type: ignore[arg-type]
    done = events.ReplyDone(with_text(ANSWER, text=PARAGRAPHS, thinking=PARAGRAPHS))
    await see(script(ASKED, live), *deltas, done, marks=MOST)


@pytest.mark.parametrize("half", [0, 1])
async def test_chat_titles(half: int) -> None:
    chats = [
        specs.ChatInfo(f"t{n}", text, "demo", updated=float(n), head="x")
        for n, text in enumerate(list(PAYLOADS.values())[half::2])
    ]
    hostile = Script(models=(MODEL,), chats=(CHAT, *chats), messages=(ASKED, ANSWER))
    await see(hostile, marks=len(chats) * 2 // 3)  # a narrow pane cuts the others before the mark


async def test_names_of_models_and_what_their_loading_says() -> None:
    models = [
        specs.ModelInfo(f"/m/{text}", text, support="untested", why=text, family=text)
        for text in PAYLOADS.values()
    ]
    loading = [events.ModelChanged(with_text(models[0], state="loading"), None)]  # type: ignore[arg-type]
    phases = [events.ModelLoading(models[0].id, 0.5, text) for text in PAYLOADS.values()]
    first = specs.ModelInfo("demo", PARAGRAPHS, state="ready", thinking="never", why=PARAGRAPHS)
    hostile = Script(models=(first, *models), chats=(CHAT,), messages=(ASKED, ANSWER), host=PARAGRAPHS)
    await see(hostile, *loading, *phases, marks=MOST)


async def test_errors_and_notices() -> None:
    errors = [ErrorInfo("x", text, text, text) for text in PAYLOADS.values()]
    failed = events.ReplyDone(
        with_text(ANSWER, finish="failed", error=ErrorInfo("x", PARAGRAPHS, PARAGRAPHS, PARAGRAPHS))
    )
    notices = [events.Notice("error", error) for error in errors]
    gone = events.ModelChanged(MODEL, errors[0])
    await see(script(), failed, gone, *notices)


async def test_folders_with_hostile_names_listed_by_the_command(home: Path) -> None:
    """The real engine finds them; the command prints them on a terminal."""
    shelf = home / "models"
    for text in PAYLOADS.values():
        folder = shelf / text.replace("/", "_").replace("\0", "_")
        folder.mkdir(parents=True)
        shutil.copy(MODEL_FOLDER / "config.json", folder)
        (folder / "model.safetensors").write_bytes(b"not weights")
    config = home / "config" / "qwill"
    config.mkdir(parents=True, mode=0o700)
    (config / "folders.json").write_text(json.dumps({"folders": [str(shelf)]}))
    listed = (await qwill("models", "list", "--json")).json
    assert len(listed["models"]) > 60
    for argv in (["models", "list"], ["models", "list", "--json"]):
        with PtyApp([*QWILL, *argv], columns=400, lines=120) as app:
            assert await app.exited() == 0
            assert MARK.encode() in app.raw
            assert found_in(bytes(app.raw)) == []


async def test_an_error_that_repeats_what_was_typed() -> None:
    """Usage errors need no engine; they repeat the argument, in one line."""
    typed = PARAGRAPHS.replace("\0", "")
    with PtyApp([*QWILL, "chat", "--top-k", typed], columns=2000) as app:
        assert await app.exited() == 2
        assert MARK.encode() in app.raw
        assert found_in(bytes(app.raw)) == []
        assert app.raw.count(b"\n") == 1
