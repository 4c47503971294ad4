"""Links that carry lines: a unix socket's stream, or a pair of queues inside one process."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import Protocol

from engine.protocol.wire import LINE_LIMIT

CLOSE_SECONDS = 2.0
"""That a peer has to read what was written before a link closes; one that reads nothing must not stop it."""


class Link(Protocol):
    """Lines in, lines out. A closed or broken link reads as None."""

    async def read(self) -> bytes | None:
        """The next line with its newline, or None at the end."""
        ...

    async def write(self, data: bytes) -> None:
        """Whole lines; raises ConnectionError when the other side is gone."""
        ...

    def close(self) -> None: ...


class StreamLink:
    """A link over an asyncio stream (a unix socket here)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes | None:
        try:
            line = await self._reader.readline()
        except (ConnectionError, ValueError):  # ValueError: a line over the limit
            return None
        return line if line.endswith(b"\n") else None

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        """Close as soon as the other side has read what was written; after CLOSE_SECONDS in any case."""
        if self._writer.is_closing():
            return
        self._writer.close()
        asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._writer.transport.abort)

    def peer_uid(self) -> int | None:
        """The uid of the process at the other end; None where the system can't tell."""
        peer: socket.socket = self._writer.get_extra_info("socket")
        if not hasattr(socket, "SO_PEERCRED"):
            return None
        data = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", data)[1])


class QueueLink:
    """One end of an in-process link."""

    def __init__(self, inbox: asyncio.Queue[bytes | None], outbox: asyncio.Queue[bytes | None]) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._closed = False

    async def read(self) -> bytes | None:
        return None if self._closed else await self._inbox.get()

    async def write(self, data: bytes) -> None:
        if self._closed:
            raise ConnectionResetError("the link is closed")
        for line in data.splitlines(keepends=True):
            self._outbox.put_nowait(line)
        await asyncio.sleep(0)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._outbox.put_nowait(None)
            self._inbox.put_nowait(None)


def queue_pair() -> tuple[QueueLink, QueueLink]:
    """Two ends of an in-process link."""
    left: asyncio.Queue[bytes | None] = asyncio.Queue()
    right: asyncio.Queue[bytes | None] = asyncio.Queue()
    return QueueLink(left, right), QueueLink(right, left)


async def open_unix(path: os.PathLike[str]) -> StreamLink:
    """Connect to an engine's socket; raises OSError when nobody listens."""
    reader, writer = await asyncio.open_unix_connection(path, limit=LINE_LIMIT)
    return StreamLink(reader, writer)
