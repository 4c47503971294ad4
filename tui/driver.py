"""The terminal's driver: Textual's, but a terminal that is gone ends the program at once."""

from __future__ import annotations

import array
import fcntl
import os
import re
import signal
import sys
import termios
import time
from collections.abc import Iterable
from functools import lru_cache
from threading import Lock
from types import FrameType
from typing import TYPE_CHECKING, Any

from textual import events
from textual._styles_cache import StylesCache
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers import linux_driver
from textual.drivers.linux_driver import LinuxDriver
from textual.keys import Keys
from textual.message import Message
from textual.strip import Strip

from tui import environment
from tui.after_death import Watcher

if TYPE_CHECKING:
    from tui.thin import Thin

MOUSE_OFF = "".join(f"\x1b[?{mode}l" for mode in (1000, 1002, 1003, 1006, 1015, 1016))
RESTORE = (
    "\x1b[?2026l\x1b[0m\x1b[<u"  # the keyboard flags of the alternate screen are a stack of its own
    + MOUSE_OFF
    + "\x1b[?1004l\x1b[?2004l\x1b[?2048l\x1b[?7h\x1b[?1049l\x1b[?25h"
)
"""Turns off everything that was turned on and leaves the alternate screen."""
WATCHED = 1.0
"""Seconds after the start at which a watcher begins to wait for our death."""

_ASK_FLAGS = "\x1b[?u"
"""Asks for the flags of the kitty keyboard protocol; terminals without it say nothing."""
_FLAGS = re.compile(r"\x1b\[\?(\d+)u")
_REPORTED = "keys_reported"
FRAME, FRAME_END = "\x1b[?2026h", "\x1b[?2026l"
"""Between these a terminal that knows them shows nothing."""
_MOVE = re.compile(r"\x1b\[\d+;\d+H")
STYLES = 1024
"""Painted styles whose escape sequences are kept."""


_WATCHER = Watcher()


class KeysReported(Message):
    """The terminal tells every key with its modifiers."""


class _Parser(XTermParser):
    """Textual's, and it knows the answer to `_ASK_FLAGS`."""

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[events.Key]:
        flags = _FLAGS.fullmatch(sequence)
        if flags is None:
            return super()._sequence_to_key_events(sequence, alt)
        return [events.Key(_REPORTED if int(flags[1]) else Keys.Ignore, sequence)]


# Textual 8.2 keeps the painted lines of up to 1,024 widgets that are gone: this method, of a class in all but
# its decorator, is cached by its instance, and each instance holds the lines of one widget.
StylesCache.get_inner_outer = classmethod(vars(StylesCache)["get_inner_outer"])  # type: ignore[assignment]

# It also keeps the sequences of 16,384 styles, and every widget brings some of its own: a few screens' do.
_render_ansi = vars(Strip)["render_ansi"].__func__.__wrapped__
Strip.render_ansi = classmethod(lru_cache(STYLES)(_render_ansi))  # type: ignore[assignment,arg-type]

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
        self.typed = 0.0
        """When the last key came, by the monotonic clock."""
        self._thin = _thin() if environment.REMOTE else None
        self._opened = False
        """Whether the mark that begins a frame waits for something to be in it."""

    def write(self, data: str) -> None:
        """Over a network, a frame goes out with only what differs from the screen."""
        if self._thin is None:
            super().write(data)
            return
        if data == FRAME:
            self._opened = True
        elif data == FRAME_END and self._opened:
            self._opened = False  # nothing was in it
        elif not _MOVE.match(data):
            super().write(data)
        elif data := self._thin.frame(data, self._terminal_size()):
            super().write(FRAME + data if self._opened else data)
            self._opened = False

    def forget_screen(self) -> None:
        """What the terminal shows is not known any more: the next frame is whole."""
        if self._thin is not None:
            self._thin.forget()

    def _terminal_size(self) -> tuple[int, int]:
        try:
            columns, lines = os.get_terminal_size(self.fileno)
        except OSError:
            return 0, 0
        return columns, lines

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
            self.typed = time.monotonic()
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
        self.forget_screen()
        _WATCHER.say(up=True)
        super().start_application_mode()
        if self.input_tty:
            self.write(_ASK_FLAGS)
            self.flush()

    def stop_application_mode(self) -> None:
        super().stop_application_mode()
        _WATCHER.say(up=False)

    def watch(self) -> None:
        """Have the terminal put right if we are killed; not before the first paint."""
        if self.input_tty:
            _WATCHER.start(self.fileno, RESTORE)

    # --- the mouse --------------------------------------------------------------------------

    @property
    def mouse(self) -> bool:
        """Whether the terminal tells of the mouse; while it does, it selects no text by itself."""
        return self._mouse

    def use_mouse(self, on: bool) -> None:
        """Take the mouse, or leave it to the terminal."""
        if not on:
            self._disable_mouse_support()
        self._mouse = on
        self._enable_mouse_support()

    def _enable_mouse_support(self) -> None:
        """Over a network only buttons, the wheel and drags: every other move would be a packet."""
        if not environment.REMOTE:
            super()._enable_mouse_support()
        elif self._mouse:
            self.write("\x1b[?1000h\x1b[?1002h\x1b[?1006h")

    def _enable_mouse_pixels(self) -> None:
        """Not over a network: it tells of moves within a cell."""
        if not environment.REMOTE:
            super()._enable_mouse_pixels()

    def _disable_mouse_support(self) -> None:
        if self._mouse:
            self.write(MOUSE_OFF)

    # --- its end ----------------------------------------------------------------------------

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
    if _WATCHER.up:
        _put_right()
    os._exit(128 + number)


def _put_right() -> None:
    """Give the terminal its modes back. One that is gone, or takes nothing any more, holds nobody up."""
    try:
        terminal = os.open("/dev/tty", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return
    try:
        os.write(terminal, RESTORE.encode())
    except OSError:
        return
    _cooked()
    _WATCHER.say(up=False)


def _thin() -> Thin:
    """Imported only where it is used: a local terminal gets its frames as they are."""
    from tui.thin import Thin

    return Thin()


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
