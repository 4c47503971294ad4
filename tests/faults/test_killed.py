"""kill -9 of the engine or of the screen at random moments of a reply: nothing that was shown is lost."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import time
from dataclasses import dataclass, field

import pytest

from engine.api import Client, EngineLost, commands, connect, events, lock_holder, specs
from tests.support.pty_app import PtyApp

pytestmark = pytest.mark.timeout(3600)
LONGEST = 0.7
"""Seconds from a question within which the blow falls; the demo takes about as long to answer."""


@dataclass
class Shown:
    """A reply as a client has seen it grow."""

    id: str
    parts: dict[str, str] = field(default_factory=lambda: {"thinking": "", "answer": ""})
    done: bool = False


async def _ask(client: Client, chat: str, question: str) -> Shown:
    sent = await client.request(commands.Send(chat=chat, text=question))
    return Shown(sent.reply.id)


async def _follow(client: Client, shown: Shown) -> None:
    try:
        async for event in client.events():
            body = event.body
            if isinstance(body, events.TextDelta) and body.message == shown.id:
                shown.parts[body.part] = shown.parts[body.part][: body.offset] + body.text
            if isinstance(body, events.ReplyDone) and body.message.id == shown.id:
                shown.done = True
    except EngineLost:
        return


async def _warm(client: Client) -> str:
    """A chat whose model is loaded."""
    chat = await client.request(commands.NewChat())
    await client.request(commands.LoadModel(model="demo"))
    return str(chat.id)


async def _stored(client: Client, chat: str) -> dict[str, specs.Message]:
    page = await client.request(commands.ReadChat(chat=chat, limit=1000))
    return {message.id: message for message in page.messages}


async def test_engines_killed_at_random_moments_lose_no_message_and_no_token_shown(
    full: bool, chance: random.Random
) -> None:
    rounds, growing = (100 if full else 3), 0
    chat = ""
    for asked in range(1, rounds + 1):
        client = await connect()
        chat = chat or await _warm(client)
        await client.request(commands.LoadModel(model="demo"))
        shown = await _ask(client, chat, f"What is {chance.randint(100, 999)} + {chance.randint(100, 999)}?")
        watching = asyncio.create_task(_follow(client, shown))
        await asyncio.sleep(chance.uniform(0, LONGEST))
        engine = lock_holder()
        assert engine is not None
        os.kill(engine, signal.SIGKILL)
        await asyncio.wait_for(watching, 30)
        growing += not shown.done
        await client.close()
        await _gone(engine)

        after = await connect()
        stored = await _stored(after, chat)
        await after.close()
        reply = stored[shown.id]
        assert len([message for message in stored.values() if message.role == "user"]) == asked
        assert reply.text.startswith(shown.parts["answer"]), (reply.text, shown)
        assert reply.thinking.startswith(shown.parts["thinking"]), (reply.thinking, shown)
        assert reply.state == "done"
    print(f"{rounds} engines killed, {growing} of them during the reply")


async def _gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while lock_holder() == pid:
        assert time.monotonic() < deadline, "the killed engine still holds its lock"
        await asyncio.sleep(0.01)


async def test_screens_killed_at_random_moments_change_nothing_for_the_engine(
    full: bool, chance: random.Random
) -> None:
    rounds, growing = (100 if full else 3), 0
    for number in range(rounds):
        first, second = chance.randint(100, 499), chance.randint(100, 499)
        with PtyApp() as app:
            await app.until("Enter send")
            if number:
                app.press("ctrl+n")
            app.type(f"What is {first} + {second}?")
            app.press("enter")
            if number == 0:
                await app.until("┊")  # the first one waits for the model
            await asyncio.sleep(chance.uniform(0.1, LONGEST))
            shown = "\n".join(app.screen())
            app.kill()
        with PtyApp() as again:  # what had not reached the engine yet is sent by the next screen
            await again.until("Enter send")
            reply = await _newest_reply(
                f"What is {first} + {second}?", sent=f"{first} + {second}" in _said(shown)
            )
        if reply is None:
            continue  # the blow came before the message had left the composer
        growing += f"= {first + second}" not in shown
        assert reply.finish == "stop"
        for line in _thoughts(shown):
            assert line in _flat(reply.thinking), (line, reply.thinking)
    print(f"{rounds} screens killed, {growing} of them during the reply")


async def _newest_reply(question: str, *, sent: bool) -> specs.Message | None:
    """The reply to this question, once it is complete; None where it never was sent."""
    client = await connect()
    try:
        deadline = time.monotonic() + 30
        while True:
            chats = (await client.request(commands.ListChats())).chats
            for chat in chats[:2]:
                messages = list((await _stored(client, chat.id)).values())
                asked = [message for message in messages if message.text == question]
                if asked and not messages[-1].live:
                    return messages[-1]
            if time.monotonic() > deadline:
                assert not sent, f"{question} was shown as sent, and is not stored"
                return None
            if not sent and not any(chat.title.startswith(question[:12]) for chat in chats):
                return None
            await asyncio.sleep(0.05)
    finally:
        await client.close()


def _said(screen: str) -> str:
    """What stands above the composer."""
    return screen.rpartition("›")[0]


def _thoughts(screen: str) -> list[str]:
    """Whole lines of the thought that was open."""
    lines = [line.split("┊", 1)[1].split("│")[0].strip() for line in screen.splitlines() if "┊" in line]
    return [_flat(line) for line in lines if line]


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
