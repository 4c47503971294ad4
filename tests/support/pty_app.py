"""The real program in a real pty: keys go in, a pyte screen and the raw bytes come out."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0
"""Seconds to wait for what must come; a busy machine takes its time to import torch."""
QWILL = [sys.executable, "-m", "tui.cli.main"]
"""The command as a test runs it: with this interpreter, from this checkout."""
KEYS = {
    "enter": "\r",
    "esc": "\x1b",
    "tab": "\t",
    "backspace": "\x7f",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "pageup": "\x1b[5~",
    "pagedown": "\x1b[6~",
    "f1": "\x1bOP",
    "f2": "\x1bOQ",
    "f3": "\x1bOR",
    "f4": "\x1bOS",
    "f5": "\x1b[15~",
    "f6": "\x1b[17~",
    "f8": "\x1b[19~",
    "f9": "\x1b[20~",
}
SYNC_QUERY = b"\x1b[?2026$p"
SYNC_ANSWER = b"\x1b[?2026;2$y"
FRAME, FRAME_END = b"\x1b[?2026h", b"\x1b[?2026l"
# pyte prints the bytes of sequences it does not know; a real terminal swallows them.
UNKNOWN = re.compile(
    rb"\x1b\[[<>=?][0-9;]*[a-zA-Z]|\x1b\[[?0-9;]*\$[a-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1bP.*?\x1b\\",
    re.S,
)
KNOWN_MODE = re.compile(rb"\x1b\[\?[0-9;]+[hl]\Z")


class PtyApp:
    """One program in a pty of its own. Use as a context manager; leaving kills what still runs."""

    def __init__(
        self,
        argv: Sequence[str] = tuple(QWILL),
        env: Mapping[str, str] | None = None,
        *,
        columns: int = 120,
        lines: int = 40,
        cwd: str | Path = ROOT,
        marks: bool = True,
    ) -> None:
        """`marks`: the terminal says that it knows synchronised output (mode 2026)."""
        self._marks = marks
        self.raw = bytearray()
        """Every byte that the program wrote."""
        self.started = time.monotonic()
        self.first_paint: float | None = None
        """Seconds until the first printable text was on the screen."""
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._tail = b""
        self._gone = False
        self._master, slave = os.openpty()
        self._set_size(columns, lines)
        self._process = subprocess.Popen(
            list(argv),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env={
                **_without_size(os.environ),
                "TERM": "xterm-256color",
                "COLORTERM": "truecolor",
                **(env or {}),
            },
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(slave)
        os.set_blocking(self._master, False)

    def __enter__(self) -> PtyApp:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.hang_up()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    @property
    def cooked(self) -> bool:
        """Whether the terminal echoes and edits lines, as a shell left it."""
        flags = termios.tcgetattr(self._master)[3]
        return bool(flags & termios.ECHO and flags & termios.ICANON)

    def modes(self) -> dict[int, bool]:
        """Private modes (DEC numbers) as the program last set them."""
        found = re.findall(rb"\x1b\[\?([0-9;]+)([hl])", bytes(self.raw))
        return {int(n): letter == b"h" for numbers, letter in found for n in numbers.split(b";")}

    def screen(self) -> list[str]:
        """The lines as a person sees them, right spaces stripped."""
        self.pump()
        return [line.rstrip() for line in self._screen.display]

    def text(self) -> str:
        """All lines as one string."""
        return "\n".join(self.screen())

    def type(self, text: str) -> None:
        """Write characters as a keyboard would."""
        os.write(self._master, text.encode())

    def press(self, *names: str) -> None:
        """Press named keys (see KEYS, `ctrl+x`) or single characters, one after another."""
        for name in names:
            if name.startswith("ctrl+"):
                self.type(chr(ord(name[-1].upper()) & 0x1F))
            else:
                self.type(KEYS.get(name, name))

    def resize(self, columns: int, lines: int) -> None:
        """Change the terminal's size, as a window manager does; the screen is blank until it is repainted."""
        self.pump()
        self._screen.resize(lines, columns)
        self._screen.erase_in_display(2)
        self._set_size(columns, lines)  # the kernel tells the program by SIGWINCH

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the program alone (not to an engine it started), and reap it after a SIGKILL."""
        if self.exit_code is None:
            self._process.send_signal(number)
        if number is signal.SIGKILL:
            self._process.wait(5)

    def hang_up(self) -> None:
        """Close the terminal, as a lost ssh does: SIGHUP for the program, EIO on what it reads and writes."""
        if not self._gone:
            self._gone = True
            os.close(self._master)

    async def until(
        self, wanted: str | Callable[[list[str]], object], timeout: float = PATIENCE, *, what: str = ""
    ) -> list[str]:
        """Wait until a text is on the screen or a predicate over its lines holds; returns the lines."""
        deadline = time.monotonic() + timeout
        while True:
            code = self.exit_code  # before the screen: what it wrote last is on it then
            lines = self.screen()
            if wanted in "\n".join(lines) if isinstance(wanted, str) else wanted(lines):
                return lines
            if time.monotonic() > deadline or code is not None:
                ended = "" if code is None else f", it ended with {code}"
                shown = "\n".join(lines)
                raise AssertionError(f"never saw {what or wanted!r}{ended}; the screen:\n{shown}")
            await asyncio.sleep(0.01)

    async def settled(self, quiet: float = 0.4) -> list[str]:
        """Wait until nothing but clocks changes: the same text, digits aside, for `quiet` seconds."""
        lines = self.screen()
        while True:
            await asyncio.sleep(quiet)
            if _without_digits(lines) == _without_digits(lines := self.screen()):
                return lines

    async def exited(self, timeout: float = PATIENCE) -> int:
        """Wait for the end; returns the exit status."""
        deadline = time.monotonic() + timeout
        while self.exit_code is None:
            self.pump()
            if time.monotonic() > deadline:
                raise AssertionError("it did not end; the screen:\n" + self.text())
            await asyncio.sleep(0.01)
        self.pump()
        return self.exit_code

    def pump(self) -> None:
        """Read what is there, answer queries, and draw it on the screen."""
        while data := self._read():
            self._draw(data)

    async def stamps(self, *wanted: Callable[[list[str]], object], seconds: float = 2.0) -> list[float]:
        """Seconds from exec until the bytes had come that make the screen as wanted, one after another.

        Whatever comes in `seconds` is stamped first and drawn afterwards: drawing here is slow, and its
        time is not the program's.
        """
        chunks = []
        while (now := time.monotonic() - self.started) < seconds:
            if data := self._read():
                chunks.append((now, data))
            else:
                await asyncio.sleep(0.002)
        found: list[float] = []
        for stamp, data in chunks:
            self._draw(data)
            while len(found) < len(wanted) and wanted[len(found)](self.screen()):
                found.append(stamp)
        if len(found) < len(wanted):
            raise AssertionError(f"saw {len(found)} of {len(wanted)}; the screen:\n" + self.text())
        return found

    def _read(self) -> bytes:
        if self._gone:
            return b""
        try:
            data = os.read(self._master, 1 << 16)
        except (BlockingIOError, OSError):  # OSError: nobody holds the other end any more
            return b""
        self.raw += data
        if self._marks and SYNC_QUERY in data:
            os.write(self._master, SYNC_ANSWER)
        return data

    def _draw(self, data: bytes) -> None:
        """Feed pyte, holding back a frame or a sequence that is not complete yet, as a terminal does."""
        data = self._tail + data
        frame = data.rfind(FRAME)
        if frame >= 0 and data.find(FRAME_END, frame) < 0 and self._process.poll() is None:
            self._tail = data[frame:]
            self._feed(data[:frame])
            return
        cut = data.rfind(b"\x1b")
        whole = (
            cut < 0
            or len(data) - cut > 64
            or re.match(rb"\x1b(?:\[[0-9;?<>=$]*[a-zA-Z~]|[^\[\]P])", data[cut:])
        )
        self._tail = b"" if whole else data[cut:]
        self._feed(data if whole else data[:cut])

    def _feed(self, drawn: bytes) -> None:
        self._stream.feed(UNKNOWN.sub(lambda m: m[0] if KNOWN_MODE.match(m[0]) else b"", drawn))
        if self.first_paint is None and any(line.strip() for line in self._screen.display):
            self.first_paint = time.monotonic() - self.started

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


def _without_size(environment: Mapping[str, str]) -> dict[str, str]:
    """The size is the pty's; a pytest that runs tests in parallel tells its workers another one."""
    return {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}


def _without_digits(lines: list[str]) -> list[str]:
    return [re.sub(r"[0-9░▓▁-█]", "", line) for line in lines]


def _take_terminal() -> None:
    """Make the pty the controlling terminal of the new session, so that Ctrl+C and hang-up reach it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
