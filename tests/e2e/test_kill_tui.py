"""The screen dies in the middle of a reply; the engine does not care, and the next screen shows the reply."""

from __future__ import annotations

import os
import signal

import pytest

from engine.api import lock_holder
from tests.support.pty_app import PtyApp

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGHUP])
async def test_the_next_screen_shows_the_reply_of_the_killed_one(death: signal.Signals) -> None:
    with PtyApp() as first:
        await first.until("thinking on")
        first.type("What is 482 + 359?")
        first.press("enter")
        await first.until("┊")
        engine = lock_holder()
        assert engine is not None
        os.kill(engine, signal.SIGSTOP)  # holds the reply in its middle while the screen dies
        assert "841" not in first.text()
        first.kill(death)
        await first.exited()
        os.kill(engine, signal.SIGCONT)

    with PtyApp() as second:
        await second.until("841")
        assert lock_holder() == engine
