"""Lends the terminal to a process group, so that it can ask for a password while Ctrl+C stays its own."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager


def elsewhere() -> bool:
    """Whether we have a terminal that is somebody else's now: a question on it would stop whoever asks."""
    terminal = _open()
    if terminal is None:
        return False
    try:
        return _foreground(terminal) != os.getpgrp()
    finally:
        os.close(terminal)


@contextmanager
def lent(group: int) -> Iterator[None]:
    """Put a process group in the foreground of our terminal, if we have one and are there; then take it back.

    setpgid(2), tcsetpgrp(3): a background group that reads its terminal is stopped, so it is woken after.
    """
    terminal = _open()
    if terminal is None:
        yield
        return
    try:
        ours = os.getpgrp()
        mine = _foreground(terminal) == ours
        if mine:
            _give(terminal, group)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGCONT)
        try:
            yield
        finally:
            if mine:
                _give(terminal, ours)
    finally:
        os.close(terminal)


def _open() -> int | None:
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None


def _foreground(terminal: int) -> int:
    try:
        return os.tcgetpgrp(terminal)
    except OSError:
        return -1


def _give(terminal: int, group: int) -> None:
    """From the background too: a blocked SIGTTOU does not stop us (tcsetpgrp, POSIX)."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        with contextlib.suppress(OSError):
            os.tcsetpgrp(terminal, group)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
