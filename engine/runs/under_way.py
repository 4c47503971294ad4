"""A note that a run is under way: the engine's parent starts an engine that was killed again if it finds one.

Imports nothing slow: the parent reads it too.
"""

from __future__ import annotations

import contextlib
import os

import msgspec

from engine.files import write_atomic
from engine.paths import state_dir

NAME = "engine.run.json"


class UnderWay(msgspec.Struct, frozen=True):
    """Which run trains, in which process."""

    pid: int
    run: str


def note(run: str) -> None:
    """A run begins. A disk that refuses the note costs the restart, nothing else."""
    with contextlib.suppress(OSError):
        write_atomic(state_dir() / NAME, msgspec.json.encode(UnderWay(os.getpid(), run)))


def forget() -> None:
    """No run is under way."""
    with contextlib.suppress(OSError):
        (state_dir() / NAME).unlink(missing_ok=True)


def of(pid: int) -> str:
    """Id of the run that this process trains, or trained when it was killed; empty for none."""
    try:
        found = msgspec.json.decode((state_dir() / NAME).read_bytes(), type=UnderWay)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return found.run if found.pid == pid else ""
