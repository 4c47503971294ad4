"""However the screen dies, the terminal is left as a shell wants it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.bench.wire import long_script
from tests.support.deep import deep
from tests.support.pty_app import PtyApp
from tests.support.scripted import engine_with

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
LEFT_ON = (1049, 1000, 1002, 1003, 1004, 1006, 1015, 1016, 2004, 2026, 2048)
"""Private modes that must be off: alternate screen, mouse, focus, paste, frames, reports of the size."""
CURSOR, WRAP = 25, 7
PUSHED, POPPED = b"\x1b[>", b"\x1b[<u"
"""The flags of the kitty keyboard protocol, a stack for each of the two screens."""
IN_A_SHELL = ["/bin/sh", "-c", f"{sys.executable} -m tui.cli.main; echo the shell goes on; read line"]
"""The shell leads the session, as at a prompt: the terminal stays when the screen dies."""
CRASHING = """
import sys
from tui import environment, lean
lean.import_textual()
from tui.app import QwillApp
QwillApp.action_leave_app = lambda self: 1 / 0
from tui.cli.main import main
sys.exit(main([]))
"""


async def restored(app: PtyApp) -> None:
    """Wait until every mode is off, as a watcher needs a moment; then look at the order and the echo."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        app.pump()
        modes = app.modes()
        if modes.get(CURSOR) and not modes.get(1049) and app.cooked:
            break
        await asyncio.sleep(0.02)
    modes, raw = app.modes(), bytes(app.raw)
    assert [mode for mode in LEFT_ON if modes.get(mode)] == []
    assert modes[CURSOR]
    assert modes[WRAP]
    assert app.cooked
    assert raw.count(POPPED) == raw.count(PUSHED)
    assert raw.rfind(POPPED) < raw.rfind(b"\x1b[?1049l"), "popped from the wrong screen's stack"


def watchers() -> list[psutil.Process]:
    """The shells that wait for the death of a screen of this test."""
    home = os.environ["HOME"]
    found = []
    for process in psutil.process_iter(["cmdline"]):
        try:
            if "qwill-watcher" in (process.info["cmdline"] or []) and process.environ().get("HOME") == home:
                found.append(process)
        except psutil.Error:
            pass
    return found


async def watched() -> None:
    """Wait until the watcher waits; before that nobody puts right what a kill leaves."""
    deadline = time.monotonic() + 20
    while not watchers() and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert watchers()


async def nobody_left() -> None:
    deadline = time.monotonic() + 20
    while (left := watchers()) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert left == []


@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, signal.SIGTERM, pytest.param(signal.SIGHUP, marks=deep)],
    ids=lambda each: each.name,
)
async def test_after_a_signal(number: signal.Signals) -> None:
    async with engine_with(long_script()):
        with PtyApp(IN_A_SHELL) as app:
            await app.until("a long reply")
            await watched()
            (screen,) = psutil.Process(app.pid).children()
            screen.send_signal(number)
            await app.until("the shell goes on")
            await restored(app)
            await nobody_left()


@deep
async def test_after_an_error_of_our_own_and_after_leaving(tmp_path: Path) -> None:
    crashing = tmp_path / "crashing.py"
    crashing.write_text(CRASHING)
    async with engine_with(long_script()):
        with PtyApp([sys.executable, str(crashing)], {"PYTHONPATH": os.getcwd()}) as app:
            await app.until("a long reply")
            app.press("ctrl+q")
            await app.exited()
            await restored(app)
            assert "ZeroDivisionError" in app.text()
        with PtyApp(env={"QWILL_REMOTE": "1"}) as app:
            await app.until("a long reply")
            await watched()
            app.press("ctrl+q")
            assert await app.exited() == 0
            await restored(app)
        await nobody_left()


@deep
async def test_the_terminal_goes_away_without_a_word() -> None:
    """Its other end is closed: the screen ends, and so does whoever waited for that."""
    async with engine_with(long_script()):
        app = PtyApp()
        await app.until("a long reply")
        await watched()
        os.close(app._master)
        deadline = time.monotonic() + 20
        while app.exit_code is None and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        assert app.exit_code is not None
        await nobody_left()
