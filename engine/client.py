"""A client's end of the link: requests as futures, events as an async iterator."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from engine import VERSION
from engine.protocol.commands import Command
from engine.protocol.errors import EngineError, EngineLost, ErrorInfo
from engine.protocol.wire import (
    PROTOCOL,
    Event,
    Hello,
    Refused,
    Reply,
    Request,
    Welcome,
    decode_engine,
    encode,
)
from engine.transports import Link

LOST = ErrorInfo(
    "engine_lost",
    "The link to the engine broke",
    remedy="Start it again; what was shown is kept",
    retryable=True,
)


class Client:
    """One attached client. Made by `engine.api.connect`."""

    def __init__(
        self,
        link: Link,
        welcome: Welcome,
        *,
        autopsy: Callable[[Welcome], Awaitable[EngineLost]],
        on_close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.welcome = welcome
        self._link = link
        self._autopsy = autopsy
        self._on_close = on_close
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._lost: EngineLost | None = None
        self._reader = asyncio.create_task(self._read())

    async def request(self, command: Command) -> Any:
        """Ask and wait; the result's type is `command.Result`.

        Raises EngineError when the engine refuses, EngineLost or EngineDead when the link breaks.
        """
        if self._lost is not None:
            raise self._lost
        number = next(self._ids)
        future: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        line = encode(Request(number, command))  # type: ignore[arg-type]
        self._waiting[number] = future
        try:
            await self._link.write(line)
        except ConnectionError:
            pass  # the reader finds out why, and fails the future
        try:
            raw = await future
        finally:
            self._waiting.pop(number, None)
        return msgspec.json.decode(raw, type=command.Result)

    async def events(self) -> AsyncIterator[Event]:
        """Events since the snapshot, in order. Ends after `close`; raises EngineLost when the link breaks."""
        while (event := await self._events.get()) is not None:
            yield event
        if self._lost is not None:
            raise self._lost

    async def close(self) -> None:
        """Leave. The engine goes on, unless it runs in this process."""
        self._reader.cancel()
        self._link.close()
        self._events.put_nowait(None)
        if self._on_close is not None:
            await self._on_close()

    async def _read(self) -> None:
        why: EngineLost | None = None
        try:
            while line := await self._link.read():
                self._sort(line)
        except EngineError as error:
            why = EngineLost(error.info)
        self._lost = why or await self._autopsy(self.welcome)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(self._lost)
        self._events.put_nowait(None)

    def _sort(self, line: bytes) -> None:
        message = decode_engine(line)
        if isinstance(message, Event):
            self._events.put_nowait(message)
        elif isinstance(message, Reply):
            future = self._waiting.get(message.id)
            if future is None or future.done():
                return
            if message.error is not None:
                future.set_exception(EngineError(message.error))
            else:
                future.set_result(message.result)


async def greet(link: Link, *, workbench: bool) -> Welcome:
    """Say hello; raises EngineError when refused, EngineLost when nobody or something else answers."""
    await link.write(encode(Hello(PROTOCOL, VERSION, workbench)))
    line = await link.read()
    if line is None:
        raise EngineLost(LOST)
    try:
        answer = decode_engine(line)
    except EngineError as error:
        raise EngineLost(_stranger(error.info.detail)) from error
    if isinstance(answer, Refused):
        raise EngineError(answer.error)
    if not isinstance(answer, Welcome):
        raise EngineLost(_stranger("it greeted with something else"))
    return answer


def _stranger(detail: str) -> ErrorInfo:
    return ErrorInfo(
        "engine_foreign",
        "What answers on the engine's socket is no engine of this version",
        detail,
        "Run `qwill engine stop`, then start again",
    )
