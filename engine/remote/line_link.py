"""The protocol's lines over an `ssh` process, with pings, so that a dead line is noticed."""

from __future__ import annotations

import asyncio
import subprocess
import time

from engine.protocol.errors import EngineDead, EngineLost
from engine.protocol.wire import LINE_LIMIT, Ping, Welcome, encode
from engine.remote import marker, master, words
from engine.remote.ssh import Line, program

BEAT = 2.5
"""Seconds between two looks at whether anything came."""
BEATS = 4
"""Looks in a row at which nothing had come, though asked for, until the line counts as dead."""
KEEP = 15.0
"""Seconds after which a ping tells the engine that we are there, even while it talks all the time."""
LINGER = 2.0
"""Seconds that a line which was closed has to end by itself."""


class LineLink:
    """A link over a line. `link` in the words of engine.transports."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self._buffer = bytearray(line.rest)
        self._looked = 0
        self._reader: asyncio.StreamReader | None = None
        self._source: asyncio.ReadTransport | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._pulse: asyncio.Task[None] | None = None
        self._heard = self._sent = time.monotonic()
        self._silent = False
        self._gone: marker.Gone | None = None
        self._closed = False

    async def open(self) -> None:
        """Take over the process's pipes."""
        loop = asyncio.get_running_loop()
        process = self.line.process
        reader = self._reader = asyncio.StreamReader(limit=1 << 16)
        self._source, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), process.stdout
        )
        transport, protocol = await loop.connect_write_pipe(
            lambda: asyncio.streams.FlowControlMixin(loop), process.stdin
        )
        self._writer = asyncio.StreamWriter(transport, protocol, None, loop)

    def keep_alive(self) -> None:
        """Ping from now on. The engine must be one that answers."""
        self._pulse = asyncio.get_running_loop().create_task(self._beat())

    async def read(self) -> bytes | None:
        while True:
            end = self._buffer.find(b"\n", self._looked)
            if end >= 0:
                line = bytes(self._buffer[: end + 1])
                del self._buffer[: end + 1]
                self._looked = 0
                if line.startswith(b"{"):
                    return line
                self._take(line)
                continue
            self._looked = len(self._buffer)
            if len(self._buffer) > LINE_LIMIT or not await self._fill():
                return None

    async def write(self, data: bytes) -> None:
        if self._writer is None or self._closed:
            raise ConnectionResetError("the line is closed")
        self._sent = time.monotonic()
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        """Say the end of our lines; whoever does not leave then is ended."""
        if self._closed:
            return
        self._closed = True
        if self._pulse is not None:
            self._pulse.cancel()
        if self._writer is None or self._source is None:
            self.line.drop()
            return
        self._writer.close()
        self._source.close()
        asyncio.get_running_loop().call_later(LINGER, self.line.kill)

    async def why(self, _: Welcome | None = None) -> EngineLost:
        """Why the line ended."""
        host, process = self.line.host, self.line.process
        if self._gone is not None:
            return (EngineDead if self._gone.dead else EngineLost)(self._gone.error)
        if self._silent:
            await asyncio.to_thread(master.leave, program(), host)  # it would hold up the next one
            return EngineLost(words.silent(host, BEAT * BEATS))
        try:
            code: int | None = await asyncio.to_thread(process.wait, LINGER)
        except subprocess.TimeoutExpired:
            code = None
            self.line.kill()
        said = await asyncio.to_thread(self.line.voice.said)
        return EngineLost(words.broke(host, code, said))

    async def _fill(self) -> bool:
        assert self._reader is not None
        try:
            data = await self._reader.read(1 << 16)
        except (ConnectionError, OSError):
            return False
        self._heard = time.monotonic()
        self._buffer += data
        return bool(data)

    def _take(self, line: bytes) -> None:
        note = marker.read(line)
        if isinstance(note, marker.Gone):
            self._gone = note

    async def _beat(self) -> None:
        silent = 0
        while silent < BEATS:
            began = time.monotonic()
            await asyncio.sleep(BEAT)
            now = time.monotonic()
            if self._heard > began or now - began > 2 * BEAT:  # the latter: this machine slept, not the line
                silent = 0
                if now - self._sent > KEEP:
                    self._ping()
                continue
            silent += 1
            self._ping()
        self._silent = True
        self.line.kill()

    def _ping(self) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._sent = time.monotonic()
            self._writer.write(encode(Ping()))
