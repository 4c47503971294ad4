"""`qwill tour` in a real pty on the demo model: the card follows what is typed."""

from __future__ import annotations

import pytest

from tests.support.deep import deep
from tests.support.pty_app import QWILL, PtyApp

pytestmark = [pytest.mark.e2e, pytest.mark.engine, pytest.mark.timeout(300)]
QUESTION = "What is 482 + 359?"


@pytest.mark.parametrize("size", [pytest.param((120, 40), marks=deep), (80, 24)], ids=["120x40", "80x24"])
async def test_thinking_is_a_step_done_by_ones_own_keys(size: tuple[int, int]) -> None:
    with PtyApp([*QWILL, "tour"], columns=size[0], lines=size[1]) as app:
        await app.until("Tour 1 of")
        await app.until("demo answers here")
        app.type("/tour next\r")
        await app.until("Thinking on and off")
        app.type(QUESTION + "\r")
        await app.until("Ctrl+T turns thinking off")
        app.press("ctrl+t")
        await app.until("Ask the same again")
        app.press("up")
        await app.until("› " + QUESTION)
        app.press("enter")
        await app.until("A first adapter")
        app.press("esc")
        await app.until(lambda lines: "A first adapter" not in "\n".join(lines))
        app.press("ctrl+q")
        assert await app.exited() == 0
    with PtyApp([*QWILL, "tour"], columns=size[0], lines=size[1]) as app:
        await app.until("A first adapter")
