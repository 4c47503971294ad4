"""The process of a trial and its talk: lines of JSON out of it, a line into it a step, all in a set time."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, Self

import msgspec

LINE_LIMIT = 1 << 16
"""Bytes of output that are kept while no line ends."""
LAST_WORDS = 2000
"""Bytes of stderr that are read."""


class Seen(msgspec.Struct, frozen=True):
    """What the child said in one line; see engine.workers.calibrate."""

    stage: str
    name: str = ""
    arch: str = ""
    address: str = ""
    count: int = 1
    error: str = ""
    memory: bool = False


class Ended(Exception):
    """The child says no more: it ended, it failed, or time is over."""


def command(device: str) -> list[str]:
    """The child's command line."""
    return [sys.executable, "-P", "-m", "engine.workers.calibrate", device]


class Child:
    """A context: on leaving it, the child and all that it started are gone. Raises OSError on entering."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str] | None, seconds: float) -> None:
        self._argv = argv
        self._environment = environment
        self.deadline = time.monotonic() + seconds
        self.started = False
        """Whether it has imported torch, so that it waits for its device alone."""
        self.seen = Seen("")
        """What it said of its device; no stage: torch has not reached it."""
        self.failed: Seen | None = None
        """Its last word, where the device refused."""
        self._rest = b""

    def __enter__(self) -> Self:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed on leaving
        try:
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,
                cwd="/",
                env=self._environment,
            )
        except OSError:
            self._errors.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _kill(self._process)
        self._errors.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def step(self, stage: str) -> None:
        """Let it go on, and wait until it is so far. Raises Ended."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise Ended from error
        self.until(stage)

    def until(self, stage: str) -> None:
        """Read lines until this stage is reached; what is no line of ours is passed over. Raises Ended."""
        while True:
            said = _understood(self._line())
            if said is None:
                continue
            if said.stage == "failed":
                self.failed = said
                raise Ended
            self.started = True
            if said.stage == "seen":
                self.seen = said
            if said.stage == stage:
                return

    def code(self) -> int | None:
        """How it ended, as subprocess counts; None: it did not, in the time that it had."""
        try:
            return self._process.wait(max(0.1, min(5.0, self.deadline - time.monotonic())))
        except subprocess.TimeoutExpired:
            return None

    def last_words(self) -> str:
        """The end of what it wrote on stderr."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - LAST_WORDS))
        return self._errors.read().decode("utf-8", "replace").strip()

    def _line(self) -> bytes:
        """The next line, however slowly it comes. Raises Ended."""
        assert self._process.stdout is not None
        while b"\n" not in self._rest:
            left = self.deadline - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise Ended
            data = os.read(self._process.stdout.fileno(), 4096)
            if not data:
                raise Ended
            self._rest = (self._rest + data)[-LINE_LIMIT:]
        if time.monotonic() > self.deadline:  # it talks without end
            raise Ended
        line, _, self._rest = self._rest.partition(b"\n")
        return line


def _understood(line: bytes) -> Seen | None:
    try:
        return msgspec.json.decode(line, type=Seen)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """It and all that it started; it is given a moment for its own end."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.5)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5.0)  # one that hangs in its driver cannot be ended by anybody
