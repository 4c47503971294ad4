"""Messages on their way to the engine, on the disk until it has them: a screen that dies loses none."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.api import EngineError, state_dir, write_atomic
from tui.state import Blank, Pending, State

FRESH = 600.0
"""Seconds after which a message is not sent by itself any more; it goes back into the composer."""


class Letters(msgspec.Struct, frozen=True):
    """What one screen had on its way."""

    pending: tuple[Pending, ...]
    written: float
    """Unix time in seconds."""
    host: str = ""
    """The place that they were written for; empty is this machine."""
    blank: Blank = Blank()
    """The chat that it showed, if that did not exist yet."""

    @property
    def fresh(self) -> bool:
        """Whether whoever wrote them still waits for an answer."""
        return time.time() - self.written < FRESH


class Outbox:
    """One screen's file. It is named after the process, so that the next screen knows whose owner is gone."""

    def __init__(self, host: str = "") -> None:
        """`host`: what the machine of the engine is called; empty is this one."""
        self._kept = False
        self._host = host
        self._name = f"{os.getpid()}.{host.encode().hex()[:60]}.json" if host else f"{os.getpid()}.json"

    def keep(self, state: State) -> None:
        """Bring the file in line with what is on its way; a chat that is not saved leaves nothing here."""
        pending = tuple(each for each in state.pending if _saved(state, each))
        if not pending and not self._kept:
            return
        with suppress(OSError, EngineError):  # a full disk: it is still on its way, and on the screen
            if pending:
                letters = Letters(pending, time.time(), self._host, state.blank)
                write_atomic(_folder() / self._name, msgspec.json.encode(letters))
            else:
                (_folder() / self._name).unlink(missing_ok=True)
            self._kept = bool(pending)

    def left_behind(self) -> list[Letters]:
        """What screens that died had on its way to this place. Each is given once."""
        found = []
        with suppress(OSError, EngineError):
            for path in _orphans():
                with suppress(msgspec.MsgspecError):
                    letters = msgspec.json.decode(path.read_bytes(), type=Letters)
                    if letters.host != self._host:
                        continue
                    found.append(letters)
                path.unlink()
        return sorted(found, key=lambda letters: letters.written)


def new_id() -> str:
    """An id for a chat or a message that this screen sends: 64 random bits in hex, as the engine's own."""
    return secrets.token_hex(8)


def _saved(state: State, pending: Pending) -> bool:
    known = state.engine.chats.get(pending.chat) or pending.blank
    return known.saved if known is not None else bool(pending.chat) or state.blank.saved


def _folder() -> Path:
    folder = state_dir() / "outbox"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _orphans() -> Iterator[Path]:
    """The files of processes that are gone, and of one that had this one's number before."""
    for path in _folder().glob("*.json"):
        owner = path.name.partition(".")[0]
        if owner.isdecimal() and (int(owner) == os.getpid() or not _alive(int(owner))):
            yield path


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
