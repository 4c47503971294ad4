"""The terminal's driver: Textual's, but a terminal that is gone ends the program at once."""

from __future__ import annotations

import os
import signal
import sys
import termios
from types import FrameType
from typing import Any

from textual.app import App
from textual.drivers.linux_driver import LinuxDriver

RESTORE = (
    "\x1b[?1049l\x1b[?25h\x1b[?1000l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1004l\x1b[?2004l\x1b[<u\x1b[?7h"
)
"""Leaves the alternate screen and turns off everything that was turned on."""


class TerminalDriver(LinuxDriver):
    """Ends the process when its input ends: a closed terminal, a dropped ssh."""

    def __init__(self, app: App[None], **settings: Any) -> None:
        super().__init__(app, **settings)
        if sys.__stdout__ is not None and sys.__stdout__.isatty():
            self._file = sys.__stdout__  # Textual paints to stderr, which people redirect

    def _run_input_thread(self) -> None:
        try:
            self.run_input_thread()
        except OSError:
            pass
        if not self.exit_event.is_set():
            os.kill(os.getpid(), signal.SIGHUP)

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


def _cooked() -> None:
    """Back to a terminal that echoes, as `stty sane` does."""
    try:
        attributes = termios.tcgetattr(0)
        attributes[0] |= termios.ICRNL | termios.IXON
        attributes[3] |= termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN
        termios.tcsetattr(0, termios.TCSANOW, attributes)
    except termios.error:
        pass
