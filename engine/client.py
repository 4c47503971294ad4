"""A client's end of the link: requests as futures, events as an async iterator."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from engine import VERSION
from engine.protocol.commands import Command, ListRuns, ReadRun, Shutdown, Status, StopRun
from engine.protocol.errors import EngineError, EngineLost, ErrorInfo, fault
from engine.protocol.wire import (
    OLDER,
    PROTOCOL,
    Event,
    Hello,
    Refused,
    Reply,
    Request,
    Welcome,
    decode_engine,
    encode,
    is_foreign,
)
from engine.transports import Link

LOST = ErrorInfo(
    "engine_lost",
    "The link to the engine broke",
    remedy="Start it again; what was shown is kept",
    retryable=True,
)
ASKED_OF_OLDER = (ListRuns, ReadRun, StopRun, Status, Shutdown)
"""Commands that an engine one protocol older understands and answers alike."""


class OtherProtocol(EngineError):
    """The engine speaks another protocol."""

    def __init__(self, info: ErrorInfo, protocol: int) -> None:
        super().__init__(info)
        self.protocol = protocol


class Client:
    """One attached client. Made by `engine.api.connect`."""

    def __init__(
        self,
        link: Link,
        welcome: Welcome,
        *,
        autopsy: Callable[[Welcome], Awaitable[EngineLost]],
        on_close: Callable[[], Awaitable[None]] | None = None,
        host: str = "",
    ) -> None:
        self.welcome = welcome
        self.host = host
        """The machine that the engine runs on, as `ssh` takes it; empty is this one."""
        self._link = link
        self._autopsy = autopsy
        self._on_close = on_close
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._lost: EngineLost | None = None
        self._reader = asyncio.create_task(self._read())

    @property
    def older(self) -> bool:
        """Whether the engine is one protocol older: it tells of its runs and stops them, nothing else."""
        return self.welcome.protocol == OLDER

    async def request(self, command: Command) -> Any:
        """Ask and wait; the result's type is `command.Result`.

        Raises EngineError when the engine refuses (`engine_older`: it would not understand), EngineLost or
        EngineDead when the link breaks.
        """
        if self._lost is not None:
            raise self._lost
        if self.older and not isinstance(command, ASKED_OF_OLDER):
            version = self.welcome.snapshot.engine.version
            raise EngineError(older_words(version, self.welcome.protocol, self.host))
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
        try:
            message = decode_engine(line)
        except EngineError:
            if is_foreign(line, older=self.older):
                return
            raise
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


async def greet(link: Link, *, workbench: bool, protocol: int = PROTOCOL, host: str = "") -> Welcome:
    """Say hello; `host` is the machine at the other end of a line that may die unnoticed.

    Raises OtherProtocol, an EngineError, when refused for that, EngineError when refused for anything else,
    EngineLost when nobody or something else answers.
    """
    try:
        await link.write(encode(Hello(protocol, VERSION, workbench, pings=bool(host))))
    except ConnectionError as error:
        raise EngineLost(LOST) from error
    line = await link.read()
    if line is None:
        raise EngineLost(LOST)
    try:
        answer = decode_engine(line)
    except EngineError as error:
        raise EngineLost(_stranger(error.info.detail)) from error
    if isinstance(answer, Refused):
        raise _refusal(answer, workbench=workbench, host=host)
    if not isinstance(answer, Welcome):
        raise EngineLost(_stranger("it greeted with something else"))
    return answer


def _refusal(answer: Refused, *, workbench: bool, host: str) -> EngineError:
    if answer.error.code != "protocol_mismatch" or answer.protocol == PROTOCOL:
        return EngineError(answer.error)
    info = answer.error
    if workbench and answer.protocol == OLDER:
        info = older_words("", answer.protocol, host)
    return OtherProtocol(info, answer.protocol)


def older_words(version: str, protocol: int, host: str) -> ErrorInfo:
    """The engine is one protocol older than this program."""
    where = f"The engine of {host}" if host else "The running engine"
    qwill = f"qwill --host {host}" if host else "qwill"
    named = f"Qwill {version}, protocol {protocol}" if version else f"protocol {protocol}"
    setup = f"; where Qwill itself is old there, `{qwill} setup` installs this version" if host else ""
    return fault(
        "engine_older",
        f"{where} is older ({named}) than this program (Qwill {VERSION}, protocol {PROTOCOL})",
        f"Its runs go on, and can be seen and stopped: `{qwill} runs list`",
        f"Run `{qwill} engine stop --when-idle`; the next one to start is the new version{setup}",
    ).info


def _stranger(detail: str) -> ErrorInfo:
    return ErrorInfo(
        "engine_foreign",
        "What answers on the engine's socket is no engine of this version",
        detail,
        "Run `qwill engine stop`, then start again",
    )
