"""The workbench here, the engine on another machine: the line between them is cut, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.api import Target, connect, events, lock_holder
from tests.e2e.test_kill_engine import thinking
from tests.support.command import qwill
from tests.support.deep import deep
from tests.support.pty_app import QWILL, PtyApp
from tests.support.sshd import Box, box_at, needs_sshd

pytestmark = [pytest.mark.e2e, pytest.mark.engine, pytest.mark.timeout(300), needs_sshd]
REMOTE = [*QWILL, "--host", "box", "-m", "demo"]
"""The workbench, in a new chat."""


@pytest.fixture(scope="module")
def shared() -> Iterator[Box]:
    """One box for the whole file: its engine takes seconds to start."""
    with pytest.MonkeyPatch.context() as patch, box_at(patch) as box:
        yield box


@pytest.fixture
def box(shared_home: Path, shared: Box, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    monkeypatch.setenv("QWILL_SSH", " ".join(shared.ssh))
    yield shared
    shared.cut()  # a connection that several processes share would let the next one in without a question


@pytest.fixture
def locked_box(box: Box) -> Iterator[Box]:
    """The key of this side has a passphrase, and there is no agent that could know it."""
    kept, key = box.config.read_text(), box.folder / "locked_key"
    shutil.copy(box.folder / "user_key", key)
    wanted = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "open sesame", "-f", str(key)]
    subprocess.run(wanted, check=True, stdin=subprocess.DEVNULL)
    box.config.write_text(kept.replace("user_key", key.name))
    yield box
    box.config.write_text(kept)


async def test_a_line_that_is_cut_in_a_reply_is_taken_up_with_every_word(box: Box) -> None:
    with PtyApp(REMOTE) as app:
        await app.until("thinking on")
        assert "box (ssh)" in app.screen()[0]
        app.type("What is 482 + 359?")
        app.press("enter")
        await app.until(lambda lines: len(thinking(lines)) > 20, what="some thinking")
        engine = box.engine()
        os.kill(engine, signal.SIGSTOP)  # holds the reply in its middle
        app.type("half a thought")
        await app.until("half a thought")
        before = thinking(await app.settled())
        assert box.cut()
        lines = await app.until("Reconnecting to box", 10)
        assert thinking(lines) == before
        assert "box is out of reach" in lines[0]
        os.kill(engine, signal.SIGCONT)
        await app.until("box (ssh)", what="the line again")
        lines = await app.until("thought ", what="the end of the reply")
        assert "half a thought" in app.text()
        assert box.engine() == engine
    assert lock_holder() is None, "no engine was started here"


def _back(lines: list[str]) -> bool:
    """Whether the screen is there again, and ssh's question gone."""
    shown = "\n".join(lines)
    return "half a thought" in shown and "passphrase for key" not in shown


async def test_where_a_person_is_needed_the_screen_steps_aside(locked_box: Box) -> None:
    """A key with a passphrase: ssh asks before the screen opens, and again when the line was cut."""
    with PtyApp(REMOTE) as app:
        await app.until("passphrase for key")
        app.type("open sesame\r")
        await app.until("thinking on")
        app.type("half a thought")
        await app.until("half a thought")
        assert locked_box.cut()
        await app.until("let us in", 30)
        app.press("f9")
        await app.until("passphrase for key")
        app.press("ctrl+c")  # ssh's alone: the program stays
        await app.until(_back, what="the screen again")
        app.press("f9")
        await app.until("passphrase for key")
        app.type("open sesame\r")
        await app.until("box (ssh)")
        await app.until("half a thought")
        app.press("ctrl+q")
        assert await app.exited() == 0


@deep
async def test_ctrl_c_at_the_first_question_ends_the_program(locked_box: Box) -> None:
    with PtyApp(REMOTE) as app:
        await app.until("passphrase for key")
        app.press("ctrl+c")
        await app.until("was given up")
        assert await app.exited() == 1
        assert app.cooked


@deep
async def test_ctrl_c_stops_the_reply_and_not_the_line(box: Box) -> None:
    with PtyApp([*REMOTE, "chat", "-p", "Tell me a long story.", "--max-tokens", "4000"]) as app:
        await app.until(lambda lines: _said(lines) and "loading" not in _said(lines), what="a reply")
        app.press("ctrl+c")
        assert await app.exited() == 1
        assert "broke" not in app.text()
        assert "Traceback" not in app.text()


def _said(lines: list[str]) -> str:
    return "".join(lines).strip()


@deep
async def test_a_command_that_waits_for_a_reply_goes_on_after_a_cut(box: Box) -> None:
    ask = ("chat", "-p", "What is 482 + 359?", "--temperature", "0", "--json")
    whole = await qwill("--host", "box", *ask)
    assert whole.code == 0, whole
    engine = box.engine()
    watcher = await connect(Target(host="box", person=False))
    asked = asyncio.create_task(qwill("--host", "box", *ask))
    async with asyncio.timeout(60):
        async for event in watcher.events():
            if isinstance(event.body, events.TextDelta):
                break
    os.kill(engine, signal.SIGSTOP)  # holds the reply in its middle
    assert box.cut()
    os.kill(engine, signal.SIGCONT)
    await watcher.close()
    again = await asked
    assert again.code == 0, again
    assert (again.json["text"], again.json["thinking"]) == (whole.json["text"], whole.json["thinking"])


@deep
async def test_an_engine_that_is_killed_there_is_told_as_such_and_a_key_starts_another(box: Box) -> None:
    with PtyApp(REMOTE) as app:
        await app.until("thinking on")
        engine = box.engine()
        os.kill(engine, signal.SIGKILL)
        await app.until("engine was killed", 20)
        app.press("f9")
        await app.until("box (ssh)")
        assert box.engine() != engine
