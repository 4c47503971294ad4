"""What the workbench sends over a network: few bytes, and the same picture as on a local terminal."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.api import events
from tests.bench.wire import (
    FRAME_MOST,
    GRAPHS,
    IDLE,
    REMOTE,
    REPLY,
    STREAMING,
    TEXT,
    long_script,
    watch,
    with_engine,
    write_reply,
)
from tests.support.deep import deep
from tests.support.pty_app import FRAME, FRAME_END, ROOT, PtyApp
from tests.support.scripted import Script, engine_with

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
ANY_MOTION, DRAGS, BUTTONS = 1003, 1002, 1000
STEPS = (("tab", "三つの原因"), ("pageup", "1 python"), ("f3", "No run yet"), ("esc", "1 python"))
MOST_FRAMES = 16
"""A second, over a network."""


async def opened(app: PtyApp, script: Script) -> None:
    await app.until("a long reply")
    await app.settled()


async def test_idle_a_growing_reply_and_its_pages_stay_within_the_budgets() -> None:
    script = long_script()
    async with engine_with(script):
        with PtyApp(env=REMOTE) as app:
            await opened(app, script)
            idle = await watch(app, "idle", 1.5)
            writing = asyncio.create_task(write_reply(script, 3.0))
            streaming = await watch(app, "streaming", 2.5)
            await writing
            script.tell(events.ReplyDone(replace(REPLY, state="done", finish="stop", text=TEXT * 6)))
            app.press("tab", "pageup")
            page = await watch(app, "page up", 0.7)
            modes = app.modes()
            assert "(ssh)" in app.text()
    assert idle.rate < IDLE
    assert 200 < streaming.rate < STREAMING
    assert streaming.frames / streaming.seconds < MOST_FRAMES
    assert max(streaming.largest, page.largest) < FRAME_MOST
    assert modes[BUTTONS]
    assert modes[DRAGS]
    assert ANY_MOTION not in modes


@deep
async def test_the_picture_is_the_one_of_a_local_terminal() -> None:
    script = long_script()
    done = replace(REPLY, state="done", finish="stop", text=TEXT * 3 + "三つの原因 e\u0301 ⏸\n\n" + TEXT)
    async with engine_with(script):
        with PtyApp(env={"QWILL_REMOTE": "1"}) as far, PtyApp(env={"QWILL_REMOTE": "0"}) as near:
            for app in (far, near):
                await opened(app, script)
            await write_reply(script, 0.5)
            script.tell(events.ReplyDone(done))
            for key, word in STEPS:
                for app in (far, near):
                    app.press(key)
                    await app.until(word)
                await far.until(
                    lambda _: without_host(far) == without_host(near), 20, what=f"the same, {key}"
                )
            assert len(far.raw) < len(near.raw) / 2


@deep
@pytest.mark.parametrize("marks", [True, False])
async def test_frames_have_marks_only_where_the_terminal_knows_them(marks: bool) -> None:
    script = long_script()
    async with engine_with(script):
        with PtyApp(env=REMOTE, marks=marks) as app:
            await opened(app, script)
            app.type("typed")
            await app.until("› typed")
            assert (FRAME in app.raw) == (FRAME_END in app.raw) == marks


async def test_a_link_that_is_clicked_opens_nothing_here(tmp_path: Path) -> None:
    """`here` would be the remote machine, whose browser would write over the screen."""
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\ntouch {tmp_path}/opened\n")
    browser.chmod(0o755)
    script = long_script()
    async with engine_with(script):
        with PtyApp(env={**REMOTE, "BROWSER": str(browser)}) as app:
            await opened(app, script)
            text = "See [the page](https://example.org/never) now"
            script.tell(events.ReplyDone(replace(REPLY, state="done", finish="stop", text=text)))
            lines = await app.until("See the page now")
            y = next(at for at, line in enumerate(lines, 1) if "See the page" in line)
            x = lines[y - 1].index("the page") + 3
            app.type(f"\x1b[<0;{x};{y}M\x1b[<0;{x};{y}m")
            await app.settled(1.0)
            assert app.exit_code is None
    assert not (tmp_path / "opened").exists()


def test_nothing_of_the_screen_asks_for_a_browser() -> None:
    sources = {file: file.read_text() for file in (ROOT / "tui").rglob("*.py")}
    assert [str(file) for file, text in sources.items() if "webbrowser" in text or ".open_url(" in text] == []
    views = [text for text in sources.values() if "(Markdown)" in text]
    assert views
    assert all("open_links=False" in text for text in views)


def without_host(app: PtyApp) -> list[str]:
    return [line.replace("(ssh)", "     ").split(os.uname().nodename)[0].rstrip() for line in app.screen()]


@deep
async def test_every_state_of_a_real_engine_stays_within_the_budgets() -> None:
    rows = await with_engine(REMOTE)
    assert [row.what for row in rows if row.budget and row.rate > row.budget] == []
    assert max(row.largest for row in rows if "open" not in row.what and row.what != "start") < FRAME_MOST
    runs = next(row for row in rows if row.what == "run, runs screen")
    print(f"runs screen: {runs.rate / 1024:.1f} KiB/s of {GRAPHS / 1024:.0f}")
