"""`qwill engine --stdio`: a byte pump between ssh and this machine's engine. No torch, no event loop.

stdout carries the protocol and lines of `marker` alone. It leaves as soon as either side ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time

from engine import VERSION, daemon, paths
from engine.protocol.errors import EngineDead, EngineLost, ErrorInfo, QwillError
from engine.protocol.wire import PROTOCOL
from engine.remote import marker
from engine.remote.command import HERE

START_SECONDS = 20.0
"""How long a new engine may take to bind its socket."""
CHUNK = 1 << 16
"""Bytes that wait in each direction at most."""
REFUSED = b'{"t":"Refused"'
"""How the answer begins of an engine that speaks another protocol; it closes after it."""


def run(*, start: bool = True) -> int:
    """Pump until either side ends; 0 unless no engine could be reached."""
    out = _own_stdout()
    with contextlib.suppress(BrokenPipeError):
        _write(out, marker.written(marker.Here(VERSION, PROTOCOL, os.environ.pop(HERE, ""))))
        try:
            engine = _reach(start=start)
        except QwillError as error:
            dead = isinstance(error, EngineDead)
            _write(out, marker.written(marker.Gone(error.info, dead=dead)))
            return 1
        _serve(engine, out)
    return 0


def _own_stdout() -> int:
    """Keep stdout for the protocol; whatever else writes there goes to stderr."""
    out = os.dup(1)
    os.dup2(2, 1)
    return out


def _serve(engine: socket.socket, out: int) -> None:
    """Pump; an engine of another version refuses and closes, and the client greets again on the same line."""
    pid = daemon.lock_holder()
    pump = Pump(engine, 0, out)
    pump.run()
    if pump.engine_ended and pump.refused:
        with contextlib.suppress(OSError):
            pump = Pump(_dial(), 0, out)
            pump.run()
    if pump.engine_ended:
        _write(out, marker.written(_why(pid)))


class Pump:
    """Two directions, each with one buffer: nobody is read faster than the other side takes it."""

    def __init__(self, engine: socket.socket, source: int, out: int) -> None:
        self._engine = engine
        self._source = source
        self._out = out
        self._up = b""
        self._down = b""
        self._head = b""
        self._chunks = 0
        self.engine_ended = False

    @property
    def refused(self) -> bool:
        """Whether all that the engine said is that it speaks another protocol."""
        return self._chunks == 1 and self._head.startswith(REFUSED)

    def run(self) -> None:
        """Until one side ends. What the engine said last is still passed on."""
        wire = self._engine.fileno()
        for descriptor in (wire, self._source, self._out):
            os.set_blocking(descriptor, False)
        try:
            while not self.engine_ended or self._down:
                ready = self._wait(wire)
                if not self._take_in(ready.get(self._source, 0)) or not self._move(ready, wire):
                    return
        except (BrokenPipeError, ConnectionError):
            return
        finally:
            self._engine.close()

    def _wait(self, wire: int) -> dict[int, int]:
        """What is ready; blocks until something is. What would be told of again and again is left out."""
        poll = select.poll()
        poll.register(self._out, select.POLLOUT if self._down else 0)  # an end is told even so (poll(2))
        if not self._up and not self.refused:  # what the client says to a refusal is for the next connection
            poll.register(self._source, select.POLLIN)
        wanted = (0 if self._down else select.POLLIN) | (select.POLLOUT if self._up else 0)
        if wanted and not self.engine_ended:
            poll.register(wire, wanted)
        return dict(poll.poll())

    def _take_in(self, seen: int) -> bool:
        """Read from the client; False at its end."""
        if not seen:
            return True
        with contextlib.suppress(BlockingIOError):
            self._up = os.read(self._source, CHUNK)
            return bool(self._up)
        return True

    def _move(self, ready: dict[int, int], wire: int) -> bool:
        """Client to engine, engine to client; False when nobody reads what is written."""
        seen = ready.get(wire, 0)
        if seen and self._up:
            self._tell(wire)
        if seen & ~select.POLLOUT and not self._down:
            self._hear(wire)
        seen = ready.get(self._out, 0)
        if seen & select.POLLOUT:
            with contextlib.suppress(BlockingIOError):
                self._down = self._down[os.write(self._out, self._down) :]
        return not seen & ~select.POLLOUT

    def _tell(self, wire: int) -> None:
        try:
            self._up = self._up[os.write(wire, self._up) :]
        except BlockingIOError:
            return
        except ConnectionError:
            self._up = b""  # its end is read in a moment

    def _hear(self, wire: int) -> None:
        try:
            self._down = os.read(wire, CHUNK)
        except BlockingIOError:
            return
        except ConnectionError:
            self._down = b""
        self.engine_ended = not self._down
        self._chunks = min(2, self._chunks + bool(self._down))
        self._head = self._head or self._down[:32]


def _reach(*, start: bool) -> socket.socket:
    """A connection to the engine's socket. Raises QwillError."""
    from engine.connect import NOT_RUNNING, did_not_start

    parent: int | None = None
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError):
            return _dial()
        if parent is None:
            coming = daemon.lock_holder() is not None or daemon.comes_back()
            if not start and not coming:
                raise EngineLost(NOT_RUNNING)
            parent = 0 if coming else daemon.start_engine()
        elif time.monotonic() > deadline or (parent and not daemon.alive(parent)):
            if time.monotonic() > deadline or daemon.lock_holder() is None:
                raise EngineDead(did_not_start())
            parent = 0
        time.sleep(0.02)


def _dial() -> socket.socket:
    engine = socket.socket(socket.AF_UNIX)
    try:
        engine.connect(os.fspath(paths.socket_path()))
    except BaseException:
        engine.close()
        raise
    return engine


def _why(pid: int | None) -> marker.Gone:
    """Why the engine's side ended, as its parent noted it."""
    from engine.connect import ended

    if pid is None:
        return marker.Gone(ErrorInfo("engine_lost", "The engine closed the link", retryable=True))
    error = ended(pid)
    return marker.Gone(error.info, dead=isinstance(error, EngineDead))


def _write(descriptor: int, data: bytes) -> None:
    os.set_blocking(descriptor, True)
    while data:
        data = data[os.write(descriptor, data) :]
