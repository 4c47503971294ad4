"""The engine dies in the middle of a reply; the screen says so, keeps every token, restarts it by one key."""

from __future__ import annotations

import os
import re
import signal

import pytest

from engine.api import lock_holder
from tests.support.pty_app import PtyApp

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.timeout(300)]


def thinking(lines: list[str]) -> str:
    """The text of the open thinking block, without its rail."""
    return " ".join(line.split("┊", 1)[1].split("│")[0].strip() for line in lines if "┊" in line)


async def test_the_screen_says_it_within_two_seconds_and_restarts_by_one_key() -> None:
    with PtyApp() as app:
        await app.until("thinking on")
        app.type("What is 482 + 359?")
        app.press("enter")
        await app.until(lambda lines: len(thinking(lines)) > 20, what="some thinking")
        engine = lock_holder()
        assert engine is not None
        os.kill(engine, signal.SIGSTOP)  # holds the reply in its middle
        before = thinking(await app.settled())
        assert before
        os.kill(engine, signal.SIGKILL)
        after = await app.until("engine was killed", 2.0)
        assert thinking(after) == before
        assert "F9" in "\n".join(after)

        app.press("f9")
        await app.until(lambda _: lock_holder() not in (None, engine), what="another engine")
        await app.until("interrupted")

        app.type("What is 21 + 34?")
        app.press("enter")
        await app.until(lambda lines: re.search(r"\d = \d", "\n".join(lines)), what="an answer")


async def test_a_draft_typed_while_the_engine_is_gone_is_kept() -> None:
    with PtyApp() as app:
        await app.until("thinking on")
        engine = lock_holder()
        assert engine is not None
        os.kill(engine, signal.SIGKILL)
        await app.until("engine was killed", 5.0)
        app.type("half a thought")
        await app.until("half a thought")
        app.press("f9")
        await app.until(lambda _: lock_holder() not in (None, engine), what="another engine")
        assert "half a thought" in app.text()
