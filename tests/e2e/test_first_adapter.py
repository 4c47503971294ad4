"""The first adapter: F4, Ctrl+S, a chart that moves, a bell, and one key that switches it on and off."""

from __future__ import annotations

import re

import pytest

from tests.support.pty_app import PtyApp
from tests.support.replies import last_reply

pytestmark = [pytest.mark.e2e, pytest.mark.engine, pytest.mark.timeout(400)]
QUESTION = "What is 48 + 35?"
"""Its sum is in no row of the dataset."""
MINUTES = 240.0
"""Far more than a run takes: a busy machine must not fail the test."""


def dots(lines: list[str]) -> int:
    """How many braille dots are on the screen."""
    return sum(
        (ord(cell) - 0x2800).bit_count() for line in lines for cell in line if 0x2800 < ord(cell) < 0x2900
    )


def step(lines: list[str]) -> int:
    """The step that the pane tells; 0 before the first."""
    found = re.search(r"step ([\d,]+) / ", "\n".join(lines))
    return int(found[1].replace(",", "")) if found else 0


async def ask(app: PtyApp, question: str) -> str:
    """Send a question and return the whole answer."""
    before = await last_reply(wait=False)
    app.type(question)
    app.press("enter")
    reply = await last_reply(after=before)
    return reply.text


async def test_from_the_form_to_a_pirate_and_back() -> None:
    with PtyApp(columns=120, lines=40) as app:
        await app.until("thinking on")
        app.press("ctrl+t")
        await app.until("thinking off")
        plain = await ask(app, QUESTION)
        assert "Arr" not in plain

        app.press("f4")
        await app.until("Train an adapter")
        await app.until("fits", 60)
        bells = app.raw.count(b"\x07")
        app.press("ctrl+s")
        await app.until("Ctrl+Z undoes it", 30)
        first = await app.until(lambda lines: step(lines) > 0 and dots(lines) > 0, MINUTES, what="the chart")
        await app.until(
            lambda lines: step(lines) > step(first) and dots(lines) > dots(first), MINUTES, what="more of it"
        )
        await app.until("is done · loss", MINUTES)
        assert app.raw.count(b"\x07") > bells

        app.press("f8")
        await app.until(lambda lines: "demo + pirate-r16" in lines[0])
        assert "Arr" in await ask(app, QUESTION)
        await app.until(lambda lines: sum("demo + pirate-r16" in line for line in lines) == 2)

        app.press("f8")
        await app.until(lambda lines: "pirate-r16" not in lines[0])
        assert "Arr" not in await ask(app, QUESTION)
