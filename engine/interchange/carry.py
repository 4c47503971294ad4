"""Carries whole chats over the protocol: all of one out of the engine, one from elsewhere into it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from engine.interchange.found import Found, Skipped, Tally
from engine.interchange.read import Reading
from engine.protocol.specs import ChatInfo, Message
from engine.protocol.transfer import PutChat, PutMessages, ReadTree, TreePage
from engine.protocol.wire import LINE_LIMIT

Request = Callable[[Any], Awaitable[Any]]
"""Makes a request and returns its result."""
PAGE_BYTES = LINE_LIMIT - (64 << 10)
PAGE_MESSAGES = 500


async def take_out(
    request: Request, chat: str, told: Callable[[int], None] | None = None
) -> tuple[ChatInfo, list[Message]]:
    """A chat with every message of its tree, each after its parent; `told` hears how many came."""
    messages: list[Message] = []
    while True:
        page: TreePage = await request(ReadTree(chat, messages[-1].id if messages else None, PAGE_MESSAGES))
        messages += page.messages
        if told is not None:
            told(len(messages))
        if not page.more or not page.messages:
            return page.chat, messages


async def put_in(request: Request, found: Found) -> ChatInfo:
    """Store a chat that was read; it appears when all of it is there, under new ids."""
    begun: ChatInfo = await request(PutChat(found.info))
    page: list[Message] = []
    room = PAGE_BYTES
    for message in found.messages:
        size = len(msgspec.json.encode(message)) + 1
        if page and (size > room or len(page) == PAGE_MESSAGES):
            await request(PutMessages(begun.id, tuple(page)))
            page, room = [], PAGE_BYTES
        page.append(message)
        room -= size
    shown: ChatInfo = await request(PutMessages(begun.id, tuple(page), head=found.info.head, last=True))
    return shown


async def bring_in(request: Request, path: Path, told: Callable[[float, Tally], None]) -> Tally:
    """Read a file or a folder and store every chat in it; `told` hears how far it is, 0 to 1.

    What cannot be taken is counted in the tally. Raises EngineError for a file that cannot be read at all,
    and what `request` raises; the chats before that are in.
    """
    tally = Tally()
    reading = Reading(path)
    items = iter(reading)
    while (item := await asyncio.to_thread(next, items, None)) is not None:
        if isinstance(item, Skipped):
            tally.skip(item)
        else:
            shown = await put_in(request, item)
            tally.chats += 1
            tally.messages += len(item.messages)
            tally.ids.append(shown.id)
        told(reading.done, tally)
    return tally
