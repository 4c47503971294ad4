"""What a new user does first: open, ask, watch it think and fold, ask again without thinking."""

from __future__ import annotations

import asyncio
import re

import pytest

from engine.api import Target, commands, connect, specs
from tests.support.pty_app import PtyApp

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.timeout(300)]
THOUGHT = re.compile(r"▸ thought \d+(\.\d+)? s · [\d,]+ tokens")


def folded(lines: list[str]) -> int:
    """How many folded thoughts are on the screen."""
    return sum(bool(THOUGHT.search(line)) for line in lines)


async def last_reply() -> specs.Message:
    """The newest chat's newest reply, once it is done."""
    client = await connect(Target(), start=False)
    try:
        while True:
            chat = (await client.request(commands.ListChats(limit=1))).chats[0]
            reply = (await client.request(commands.ReadChat(chat.id))).messages[-1]
            if reply.role == "assistant" and not reply.live:
                return reply
            await asyncio.sleep(0.05)
    finally:
        await client.close()


async def test_a_question_is_thought_about_folded_and_answered_then_asked_without_thinking() -> None:
    with PtyApp(columns=120, lines=40) as app:
        await app.until("thinking on")
        app.type("What is 482 + 359?")
        app.press("enter")
        await app.until("┊", what="the thinking as it streams")
        await app.until(folded, what="the folded thought")
        lines = await app.until("841")
        assert folded(lines) == 1
        assert not any("┊" in line for line in lines)

        app.press("ctrl+t")
        await app.until("thinking off")
        app.type("What is 21 + 34?")
        app.press("enter")
        await app.until(lambda lines: sum("You" in line for line in lines) == 2)
        reply = await asyncio.wait_for(last_reply(), 60)
        assert reply.thinking == ""
        assert reply.stats is not None
        assert reply.stats.thinking_tokens == 0
        assert folded(await app.until(reply.text.split("\n")[0].strip("*` "))) == 1


async def test_what_is_typed_before_the_model_is_ready_waits_and_is_answered() -> None:
    with PtyApp(columns=120, lines=40) as app:
        await app.until("Ask something")
        app.type("What is 482 + 359?")
        app.press("enter")
        await app.until("841")
