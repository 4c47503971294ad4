"""One line on stderr that is rewritten while something goes on; nothing where stderr is no terminal."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from engine.api import Client, EngineError, commands
from tui.cli import output

CLEAR_LINE = "\r\x1b[K"


def show(words: str) -> None:
    """Put these words in place of those before; empty takes the line away."""
    if sys.stderr.isatty():
        print(f"{CLEAR_LINE}{output.line(words)}", end="", file=sys.stderr, flush=True)


T = TypeVar("T")


async def until_done(
    client: Client, work: Awaitable[T], words: Callable[[Any], str], stop: commands.Command
) -> T:
    """What the work comes to, its progress shown meanwhile; Ctrl+C has the engine `stop` it first."""
    async with following(client, words):
        try:
            return await work
        except asyncio.CancelledError:
            with contextlib.suppress(EngineError):
                await client.request(stop)
            raise


@asynccontextmanager
async def following(client: Client, words: Callable[[Any], str]) -> AsyncIterator[None]:
    """While the block runs, show what `words` makes of an event's body; an empty text passes it by."""

    async def follow() -> None:
        async for event in client.events():
            if told := words(event.body):
                show(told)

    watch = asyncio.create_task(follow()) if sys.stderr.isatty() else None
    try:
        yield
    finally:
        if watch is not None:
            watch.cancel()
            show("")
