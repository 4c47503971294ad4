"""One `ssh` process whose other end is `qwill engine --stdio` on another machine.

It is the system's OpenSSH with the user's configuration, agent, jump hosts and multiplexing. It has a process
group of its own, so that Ctrl+C in the terminal does not end it; while it may ask, it has the terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from engine.protocol.errors import EngineError, EngineLost
from engine.remote import command, marker, master, remember, terminal, words

PROGRAM = "QWILL_SSH"
"""Variable with another command than `ssh` and its first options, as GIT_SSH_COMMAND is git's."""
CONNECT_SECONDS = 10
"""For the TCP connection, where nobody watches."""
ANSWER_SECONDS = 40.0
"""From the start of `ssh` to Qwill's first line, where nobody watches."""
ALIVE_SECONDS = 5
"""Between ssh's own keep-alives; three without an answer end it."""
NOISE = 64 << 10
"""Bytes that may come before Qwill's first line: a greeting, not a program that talks."""
SAID = 8 << 10
"""Characters of stderr that are kept."""


class Line:
    """A process that reached Qwill, and what came of the engine's bytes behind the first line."""

    def __init__(self, host: str, process: subprocess.Popen[bytes], voice: Voice) -> None:
        self.host = host
        self.process = process
        self.voice = voice
        self.here: marker.Here | None = None
        self.rest = b""

    def kill(self) -> None:
        """End it and its helpers (a ProxyJump is one) now."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def drop(self) -> None:
        """End it and let go of its pipes."""
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self.process.wait()


class Voice:
    """What `ssh` says on its stderr: kept, and passed on to the person while one is asked."""

    def __init__(self, process: subprocess.Popen[bytes], *, aloud: bool) -> None:
        assert process.stderr is not None
        self._pipe = process.stderr
        self._said = ""
        self.aloud = aloud
        self._thread = threading.Thread(target=self._listen, daemon=True, name="ssh stderr")
        self._thread.start()

    def said(self, patience: float = 1.0) -> str:
        """All of it, once it has ended or `patience` is over: a shared connection may keep the pipe open."""
        self._thread.join(patience)
        return self._said

    def _listen(self) -> None:
        with self._pipe:
            while data := os.read(self._pipe.fileno(), 4096):
                text = data.decode("utf-8", "replace")
                self._said = (self._said + text)[-SAID:]
                if self.aloud:
                    harmless = "".join(c for c in text if c.isprintable() or c in "\r\n\t")
                    with contextlib.suppress(OSError, ValueError):
                        sys.stderr.write(harmless)
                        sys.stderr.flush()


def program() -> list[str]:
    """`ssh`, or what QWILL_SSH says."""
    return shlex.split(os.environ.get(PROGRAM, "")) or ["ssh"]


def arguments(host: str, *, person: bool, terminal: bool = False) -> list[str]:
    """The command up to the host. Raises EngineError `host_name`.

    `person`: somebody may be asked; without one BatchMode fails instead. Only what would break a line is set
    against the user's own configuration: forwardings (a second one cannot bind), and a command of the host's.
    """
    name = command.checked(host)
    options = [
        "ClearAllForwardings=yes",
        "RemoteCommand=none",
        f"ServerAliveInterval={ALIVE_SECONDS}",
        "ServerAliveCountMax=3",
        *master.options(program(), name),
        *([] if person else ["BatchMode=yes", f"ConnectTimeout={CONNECT_SECONDS}"]),
    ]
    chosen = [part for option in options for part in ("-o", option)]
    return [*program(), "-t" if terminal else "-T", *chosen, name]


async def call(host: str, *, person: bool, start: bool = True) -> Line:
    """Reach Qwill on a host; `start`: it starts an engine there where none runs.

    Raises EngineError `host_name`, else EngineLost with a code of `engine.remote.words`; its `retryable` says
    whether another try may do.
    """
    asked = ["engine", "--stdio", *([] if start else ["--no-start"])]
    known = remember.command(host)
    person = person and not terminal.elsewhere()
    before = await asyncio.to_thread(arguments, host, person=person)  # asks ssh for the user's settings
    line = _begin(host, [*before, command.remote(asked, known)], person=person)
    try:
        with terminal.lent(line.process.pid) if person else _nothing():
            await _first_line(line, None if person else ANSWER_SECONDS)
    except BaseException:
        line.drop()
        raise
    line.voice.aloud = False
    if line.here is not None and line.here.found:
        remember.remember(host, line.here.found)
    return line


def call_blocking(host: str, *, person: bool) -> Line:
    """The same in a thread with a loop of its own, while the caller's stands still: its screen is away."""
    found: list[Line | BaseException] = []

    def run() -> None:
        try:
            found.append(asyncio.run(call(host, person=person)))
        except (EngineError, EngineLost) as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True, name="ssh")
    thread.start()
    thread.join()
    if not found:
        raise EngineLost(words.given_up(host))
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


def _begin(host: str, wanted: Sequence[str], *, person: bool) -> Line:
    try:
        process = subprocess.Popen(
            wanted,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
            bufsize=0,
        )
    except OSError as error:
        raise EngineLost(words.no_ssh(wanted[0])) from error
    return Line(host, process, Voice(process, aloud=person))


async def _first_line(line: Line, seconds: float | None) -> None:
    """Read up to Qwill's first line. Raises EngineLost."""
    try:
        async with asyncio.timeout(seconds):
            noise = await _until_here(line)
    except TimeoutError as error:
        await asyncio.to_thread(master.leave, program(), line.host)
        raise EngineLost(words.too_slow(line.host, seconds or 0.0)) from error
    if line.here is not None:
        return
    if len(noise) > NOISE:
        raise EngineLost(words.noisy(line.host, noise))
    code = await asyncio.to_thread(_ended, line)
    if code in (126, 127):
        remember.forget(line.host)
    if code in (-signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP) or code == 130:
        raise EngineLost(words.given_up(line.host))
    raise EngineLost(words.no_line(line.host, code, line.voice.said(), noise))


async def _until_here(line: Line) -> bytes:
    """Fills `line.here`, or returns what came instead."""
    assert line.process.stdout is not None
    descriptor = line.process.stdout.fileno()
    noise, waiting = b"", b""
    while data := await _readable(descriptor):
        waiting += data
        while line.here is None and b"\n" in waiting:
            first, _, waiting = waiting.partition(b"\n")
            note = marker.read(first)
            if isinstance(note, marker.Missing):
                remember.forget(line.host)
                raise EngineLost(words.missing(line.host))
            if isinstance(note, marker.Here):
                line.here, line.rest = note, waiting
                return noise
            noise += first + b"\n"
        if len(noise) + len(waiting) > NOISE:
            return noise + waiting
    return noise + waiting


async def _readable(descriptor: int) -> bytes:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, wake)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
    return os.read(descriptor, 1 << 16)


def _ended(line: Line) -> int | None:
    try:
        return line.process.wait(3.0)
    except subprocess.TimeoutExpired:
        return None


def _nothing() -> AbstractContextManager[None]:
    return nullcontext()
