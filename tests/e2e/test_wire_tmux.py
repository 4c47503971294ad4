"""Inside tmux copied text is in its buffer, which it passes on to whoever is attached."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.api import events
from tests.bench.wire import REPLY, long_script
from tests.support.deep import deep
from tests.support.pty_app import ROOT
from tests.support.scripted import engine_with

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]
PATIENCE = 30.0
ANSWER = "copied from the far end"


class Tmux:
    """A server of its own, with one window of 100x30."""

    def __init__(self, folder: Path) -> None:
        self._socket = str(folder / "tmux")
        self("new-session", "-d", "-x", "100", "-y", "30", "sh")

    def __call__(self, *words: str) -> str:
        command = ["tmux", "-S", self._socket, "-f", "/dev/null", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def screen(self) -> str:
        return self("capture-pane", "-p")

    async def until(self, wanted: str, look: Callable[[], str] | None = None) -> str:
        """Wait for a text, on the screen or where else to look."""
        deadline = time.monotonic() + PATIENCE
        while wanted not in (shown := (look or self.screen)()):
            if time.monotonic() > deadline:
                raise AssertionError(f"never saw {wanted!r}:\n{shown}")
            await asyncio.sleep(0.05)
        return shown


@pytest.fixture
def tmux(home: Path) -> Iterator[Tmux]:
    server = Tmux(home)
    yield server
    server("kill-server")


async def copied(tmux: Tmux, setting: str) -> str:
    """Copy a reply in tmux with this `set-clipboard`; gives back what the key hints say."""
    tmux("set-option", "-s", "set-clipboard", setting)
    script = long_script()
    async with engine_with(script):
        tmux("send-keys", f"cd {ROOT}; clear; {sys.executable} -m tui.cli.main", "Enter")
        await tmux.until("queued")
        script.tell(events.ReplyDone(replace(REPLY, state="done", finish="stop", text=ANSWER)))
        await tmux.until(ANSWER)
        tmux("send-keys", "Tab")
        await tmux.until("y copy")
        tmux("send-keys", "y")
        await tmux.until(ANSWER, lambda: tmux("show-buffer"))
        return await tmux.until("Copied")


@pytest.mark.parametrize(
    "setting", ["external", pytest.param("off", marks=deep), pytest.param("on", marks=deep)]
)
async def test_copied_text_is_in_its_buffer_however_it_is_set(tmux: Tmux, setting: str) -> None:
    assert "with tmux" in await copied(tmux, setting)
