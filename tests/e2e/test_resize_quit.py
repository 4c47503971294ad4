"""The screen follows the terminal's size, and leaves the terminal as it found it."""

from __future__ import annotations

import pytest

from engine.api import lock_holder
from tests.support.pty_app import PtyApp

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
ALTERNATE, CURSOR = 1049, 25
LEFT_ON = (ALTERNATE, 1000, 1002, 1003, 1004, 1006, 1015, 2004)
"""Private modes that must be off at the end: alternate screen, mouse and focus reports, bracketed paste."""


async def test_every_size_shows_the_chat_and_what_was_typed() -> None:
    with PtyApp(columns=120, lines=40) as app:
        await app.until("thinking on")
        app.type("a draft")
        await app.until("a draft")
        for columns, lines in ((80, 24), (40, 12), (120, 40)):
            app.resize(columns, lines)
            shown = await app.until(
                lambda rows, n=lines: len(rows) == n and "a draft" in "\n".join(rows),
                what=f"the draft at {columns}x{lines}",
            )
            assert max(map(len, shown)) <= columns
        await app.until("MODELS")


async def test_at_40_by_12_a_chat_still_works() -> None:
    with PtyApp(columns=40, lines=12) as app:
        await app.until("thinking on")
        app.type("What is 482 + 359?")
        app.press("enter")
        await app.until("841")


async def test_ctrl_q_leaves_a_clean_terminal_and_a_running_engine() -> None:
    with PtyApp() as app:
        await app.until("thinking on")
        assert app.modes()[ALTERNATE]
        app.press("ctrl+q")
        assert await app.exited() == 0
        modes = app.modes()
        assert [mode for mode in LEFT_ON if modes.get(mode)] == []
        assert modes[CURSOR]
        assert app.cooked
        assert lock_holder() is not None
