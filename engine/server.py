"""Clients of one host: a session each, that reads requests and writes replies and events in order."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Protocol

import msgspec

from engine import VERSION
from engine.bus import Bus, Outbox
from engine.protocol.commands import AnyCommand
from engine.protocol.errors import EngineError, ErrorInfo, fault
from engine.protocol.specs import Snapshot
from engine.protocol.wire import (
    KEEP_SECONDS,
    LINE_LIMIT,
    PROTOCOL,
    Hello,
    Ping,
    Pong,
    Refused,
    Reply,
    Request,
    Welcome,
    decode_client,
    encode,
)
from engine.transports import Link, StreamLink

log = logging.getLogger(__name__)


class Desk(Protocol):
    """What a server serves: the host."""

    bus: Bus

    def snapshot(self) -> Snapshot: ...

    async def handle(self, command: AnyCommand) -> msgspec.Struct: ...

    def seated(self) -> None:
        """A person sat down at a workbench."""
        ...


class Server:
    """Accepts clients for one host, over a socket or in process."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._sessions: set[Session] = set()
        self._listener: asyncio.Server | None = None
        self._path: Path | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def clients(self) -> int:
        return len(self._sessions)

    @property
    def workbenches(self) -> int:
        """Full screens that a person sits at."""
        return sum(session.workbench for session in self._sessions)

    async def listen(self, path: Path) -> None:
        """Bind the socket, 0600. The caller holds the engine's lock, so an old file there is stale."""
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._listener = await asyncio.start_unix_server(self._accept, path, limit=LINE_LIMIT)
            self._path = path
        finally:
            os.umask(before)

    def attach(self, link: Link) -> None:
        """Serve one more client."""
        session = Session(self._desk, link)
        self._sessions.add(session)
        task = asyncio.create_task(session.serve())
        self._tasks.add(task)

        def gone(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            self._sessions.discard(session)

        task.add_done_callback(gone)

    async def close(self) -> None:
        """Stop listening and cut every client off, after what waits for it is written."""
        if self._listener is not None and self._path is not None:
            self._listener.close()
            self._path.unlink(missing_ok=True)  # while the lock is held: the next engine's socket lies there
        for session in list(self._sessions):
            session.finish()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = StreamLink(reader, writer)
        uid = link.peer_uid()
        if uid is not None and uid not in (os.getuid(), 0):
            log.warning("refused a client of uid %s", uid)
            link.close()
            return
        self.attach(link)


class Session:
    """One client: a reader, a writer, and a task a request."""

    def __init__(self, desk: Desk, link: Link) -> None:
        self._desk = desk
        self._link = link
        self._outbox: Outbox | None = None
        self._writer: asyncio.Task[None] | None = None
        self._requests: set[asyncio.Task[None]] = set()
        self.workbench = False
        self._patience: float | None = None
        """Seconds after which a client that pings must have said something."""

    async def serve(self) -> None:
        """Greet, then read until the client leaves."""
        try:
            if await self._greet():
                await self._read()
        except TimeoutError:
            log.info("a client was not heard of for %.0f s", KEEP_SECONDS)
        except (ConnectionError, EngineError) as error:
            log.info("a client left: %s", error)
        finally:
            await self._leave()

    def finish(self) -> None:
        """End the session: the reader sees the end of its link."""
        asyncio.get_running_loop().call_later(0.05, self._link.close)

    async def _greet(self) -> bool:
        line = await self._link.read()
        hello = decode_client(line) if line else None
        if not isinstance(hello, Hello):
            return False
        if hello.protocol != PROTOCOL:
            await self._link.write(encode(Refused(_mismatch(hello))))
            return False
        self.workbench = hello.workbench
        self._patience = KEEP_SECONDS if hello.pings else None
        # No await between the three: the snapshot stands at exactly this event.
        seq, snapshot = self._desk.bus.seq, self._desk.snapshot()
        self._outbox = self._desk.bus.subscribe()
        self._outbox.cut = self._link.close
        if self.workbench:
            self._desk.seated()
        await self._link.write(encode(Welcome(PROTOCOL, seq, snapshot)))
        self._writer = asyncio.create_task(self._write(self._outbox))
        return True

    async def _read(self) -> None:
        while line := await self._heard():
            message = decode_client(line)
            if isinstance(message, Ping):
                await self._link.write(encode(Pong()))
            elif isinstance(message, Request):
                task = asyncio.create_task(self._answer(message))
                self._requests.add(task)
                task.add_done_callback(self._requests.discard)

    async def _heard(self) -> bytes | None:
        """The next line. Raises TimeoutError for a client that is gone without a word."""
        if self._patience is None:
            return await self._link.read()
        async with asyncio.timeout(self._patience):
            return await self._link.read()

    async def _answer(self, request: Request) -> None:
        try:
            result = await self._desk.handle(request.command)
            reply = Reply(request.id, msgspec.Raw(msgspec.json.encode(result)))
            encode(reply)
        except EngineError as error:
            reply = Reply(request.id, error=error.info)
        except Exception as error:  # the edge of a request: the client learns of it, the engine goes on
            log.exception("a request failed: %s", type(request.command).__name__)
            reply = Reply(request.id, error=_unforeseen(error))
        if self._outbox is not None:
            self._outbox.put(reply)

    async def _write(self, outbox: Outbox) -> None:
        try:
            while not outbox.overflowed:
                for item in await outbox.take():
                    await self._link.write(encode(item))
        except ConnectionError:
            pass
        self._link.close()

    async def _leave(self) -> None:
        if self._outbox is not None:
            self._desk.bus.unsubscribe(self._outbox)
        for task in [*self._requests, *([self._writer] if self._writer else [])]:
            task.cancel()
        self._link.close()


def _mismatch(hello: Hello) -> ErrorInfo:
    return fault(
        "protocol_mismatch",
        f"The running engine is Qwill {VERSION} (protocol {PROTOCOL}), this program is "
        f"{hello.version} (protocol {hello.protocol})",
        remedy="Install that version of this program too"
        if hello.protocol < PROTOCOL
        else "Run `qwill engine stop`, then start again",
    ).info


def _unforeseen(error: Exception) -> ErrorInfo:
    return ErrorInfo(
        "unforeseen",
        "The engine hit an error it did not foresee",
        f"{type(error).__name__}: {error}",
        "See the engine's log: `qwill engine status` names it",
    )
