"""The terminal's driver: Textual's, but a terminal that is gone ends the program at once."""

from __future__ import annotations

import array
import fcntl
import os
import re
import signal
import sys
import termios
from collections.abc import Iterable
from threading import Lock
from types import FrameType
from typing import Any

from textual import events
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers import linux_driver
from textual.drivers.linux_driver import LinuxDriver
from textual.keys import Keys
from textual.message import Message

RESTORE = (
    "\x1b[?1049l\x1b[?25h\x1b[?1000l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1004l\x1b[?2004l\x1b[<u\x1b[?7h"
)
"""Leaves the alternate screen and turns off everything that was turned on."""


_ASK_FLAGS = "\x1b[?u"
"""Asks for the flags of the kitty keyboard protocol; terminals without it say nothing."""
_FLAGS = re.compile(r"\x1b\[\?(\d+)u")
_REPORTED = "keys_reported"


class KeysReported(Message):
    """The terminal tells every key with its modifiers."""


class _Parser(XTermParser):
    """Textual's, and it knows the answer to `_ASK_FLAGS`."""

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[events.Key]:
        flags = _FLAGS.fullmatch(sequence)
        if flags is None:
            return super()._sequence_to_key_events(sequence, alt)
        return [events.Key(_REPORTED if int(flags[1]) else Keys.Ignore, sequence)]


linux_driver.XTermParser = _Parser  # type: ignore[misc]  # the driver's thread makes its parser by this name


class TerminalDriver(LinuxDriver):
    """Ends the process when its input ends: a closed terminal, a dropped ssh."""

    def __init__(self, app: App[None], **settings: Any) -> None:
        super().__init__(app, **settings)
        if sys.__stdout__ is not None and sys.__stdout__.isatty():
            self._file = sys.__stdout__  # Textual paints to stderr, which people redirect
        self._early: list[Message] | None = []
        self._foreign = 0
        """Bytes still to come that were typed before the terminal was ours."""
        self._passing = Lock()

    def _run_input_thread(self) -> None:
        try:
            self._foreign = _waiting(self.fileno)
            self.run_input_thread()
        except OSError:
            pass
        if not self.exit_event.is_set():
            os.kill(os.getpid(), signal.SIGHUP)

    def process_message(self, message: Message) -> None:
        """Keys that come before anything has the focus wait for `let_in`."""
        if isinstance(message, events.Key) and message.key == _REPORTED:
            message = KeysReported()
        if isinstance(message, events.Key | events.Paste):
            with self._passing:
                if self._early is not None:
                    self._early.append(self._as_typed(message))
                    return
        super().process_message(message)

    def _as_typed(self, message: Message) -> Message:
        """What was typed before the terminal was ours has its Enter as a line feed, which that made of it."""
        if not isinstance(message, events.Key) or self._foreign <= 0:
            return message
        self._foreign -= len((message.character or " ").encode())
        return events.Key("enter", "\r") if message.key == "ctrl+j" else message

    def start_application_mode(self) -> None:
        super().start_application_mode()
        if self.input_tty:
            self.write(_ASK_FLAGS)
            self.flush()

    def let_in(self) -> None:
        """There is a place for keys now: pass on those that waited, in order."""
        with self._passing:
            early, self._early = self._early or [], None
            for message in early:
                super().process_message(message)

    def check(self) -> None:
        """End at once when the terminal is gone without a word; its input would be empty for ever."""
        try:
            termios.tcgetattr(self.fileno)
        except termios.error:
            os.kill(os.getpid(), signal.SIGHUP)


def end_with_terminal() -> None:
    """SIGHUP and SIGTERM end the process at once; what matters is in the engine's store already."""
    signal.signal(signal.SIGHUP, _leave)
    signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    if number != signal.SIGHUP and sys.__stderr__ is not None and sys.__stderr__.isatty():
        os.write(sys.__stderr__.fileno(), RESTORE.encode())
        _cooked()
    os._exit(128 + number)


def _waiting(terminal: int) -> int:
    """Bytes that a terminal holds for us."""
    count = array.array("i", [0])
    fcntl.ioctl(terminal, termios.FIONREAD, count)
    return count[0]


def _cooked() -> None:
    """Back to a terminal that echoes, as `stty sane` does."""
    try:
        attributes = termios.tcgetattr(0)
        attributes[0] |= termios.ICRNL | termios.IXON
        attributes[3] |= termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN
        termios.tcsetattr(0, termios.TCSANOW, attributes)
    except termios.error:
        pass
