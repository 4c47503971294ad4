"""A program in a pty at the far end of a slow line: a delay and a rate both ways, and lost packets.

The line reads whatever the program writes, as sshd does with its window of megabytes, and lets it out at the
line's own pace. A lost packet is TCP's matter: what comes after it waits until it has come again.
"""

from __future__ import annotations

import asyncio
import os
import random
import select
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.pty_app import QWILL, ROOT, SYNC_ANSWER, SYNC_QUERY, PtyApp

PACKET = 1400
"""Bytes that travel together."""


class Line(NamedTuple):
    """What lies between a program and its terminal."""

    round_trip: float = 0.3
    """Seconds."""
    rate: int = 64 << 10
    """Bytes a second, each way."""
    loss: float = 0.0
    """Share of packets that come again one round trip later."""


class Chunk(NamedTuple):
    """Bytes that came to the terminal."""

    at: float
    """When, by the monotonic clock."""
    data: bytes


class ThrottledPty(PtyApp):
    """`type` goes through the line, and so does all that comes back; `came` has it with its times."""

    def __init__(
        self,
        argv: Sequence[str] = tuple(QWILL),
        env: Mapping[str, str] | None = None,
        *,
        line: Line = Line(),  # noqa: B008  # a tuple of numbers
        columns: int = 120,
        lines: int = 40,
        cwd: str | Path = ROOT,
    ) -> None:
        self.columns, self.rows = columns, lines
        self.came: list[Chunk] = []
        self.typed: list[Chunk] = []
        """What was typed, and when the keys were pressed."""
        self._line = line
        self._dice = random.Random(1)
        self._up = _Way(line)
        self._down = _Way(line)
        self._here: deque[bytes] = deque()
        self._over = threading.Event()
        super().__init__(argv, env, columns=columns, lines=lines, cwd=cwd)
        self._mover = threading.Thread(target=self._move, name="slow-line", daemon=True)
        self._mover.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._over.set()
        self._mover.join(5)
        os.close(self._master)

    @property
    def waiting(self) -> int:
        """Bytes that the program has written and the terminal has not got yet."""
        return self._down.waiting

    def type(self, text: str) -> None:
        """Press keys: they start their way now."""
        data = text.encode()
        self.typed.append(Chunk(time.monotonic(), data))
        self._up.send(data, self._dice)

    async def quiet(self, seconds: float = 1.0, timeout: float = 60.0) -> None:
        """Wait until nothing has been on its way for so long."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self.pump()
            last = self.came[-1].at if self.came else self.started
            if not self.waiting and time.monotonic() - last > seconds:
                return
            await asyncio.sleep(0.02)
        raise AssertionError("it never stopped writing")

    def _read(self) -> bytes:
        """What has come through the line since."""
        data = b""
        while self._here:
            data += self._here.popleft()
        self.raw += data
        if SYNC_QUERY in data:
            self._up.send(SYNC_ANSWER, self._dice)
        return data

    def _move(self) -> None:
        """The line itself, until the program or the test is over."""
        while not self._over.is_set():
            wait = min(self._up.due(), self._down.due(), 0.004)
            readable, _, _ = select.select([self._master], [], [], max(0.0, wait))
            if readable:
                try:
                    self._down.send(os.read(self._master, 1 << 16), self._dice)
                except BlockingIOError:
                    pass
                except OSError:  # nobody holds the other end any more
                    self._over.wait(0.02)
            for data in self._down.arrived():
                self.came.append(Chunk(time.monotonic(), data))
                self._here.append(data)
            for data in self._up.arrived():
                try:
                    os.write(self._master, data)
                except OSError:
                    pass


class _Way:
    """One direction: packets leave one by one at the line's rate, and arrive half a round trip later."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._free = 0.0
        """When the last packet has left."""
        self._held: deque[tuple[float, bytes]] = deque()
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        with self._lock:
            return sum(len(data) for _, data in self._held)

    def send(self, data: bytes, dice: random.Random) -> None:
        line = self._line
        with self._lock:
            for start in range(0, len(data), PACKET):
                packet = data[start : start + PACKET]
                self._free = max(self._free, time.monotonic()) + len(packet) / line.rate
                if dice.random() < line.loss:
                    self._free += line.round_trip
                self._held.append((self._free + line.round_trip / 2, packet))

    def due(self) -> float:
        """Seconds until the next packet arrives."""
        with self._lock:
            return self._held[0][0] - time.monotonic() if self._held else 1.0

    def arrived(self) -> list[bytes]:
        found = []
        with self._lock:
            while self._held and self._held[0][0] <= time.monotonic():
                found.append(self._held.popleft()[1])
        return found
