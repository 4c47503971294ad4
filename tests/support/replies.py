"""Replies as the engine has them, for tests that drive the screen."""

from __future__ import annotations

import asyncio
from typing import Literal, overload

from engine.api import Target, commands, connect, specs


@overload
async def last_reply(*, wait: Literal[False], seconds: float = ...) -> specs.Message | None: ...
@overload
async def last_reply(
    *, after: specs.Message | None = ..., wait: Literal[True] = ..., seconds: float = ...
) -> specs.Message: ...
async def last_reply(
    *, after: specs.Message | None = None, wait: bool = True, seconds: float = 60.0
) -> specs.Message | None:
    """The newest chat's newest reply, once it is done and another one than `after`."""
    client = await connect(Target(), start=False)
    try:
        async with asyncio.timeout(seconds):
            while True:
                reply = await _newest(client.request)
                if not wait or (reply is not None and not reply.live and not _same(reply, after)):
                    return reply
                await asyncio.sleep(0.05)
    finally:
        await client.close()


async def _newest(request) -> specs.Message | None:
    chats = (await request(commands.ListChats(limit=1))).chats
    if not chats:
        return None
    replies = [m for m in (await request(commands.ReadChat(chats[0].id))).messages if m.role == "assistant"]
    return replies[-1] if replies else None


def _same(reply: specs.Message, other: specs.Message | None) -> bool:
    return other is not None and reply.id == other.id
