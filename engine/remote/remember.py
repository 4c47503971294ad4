"""Where `qwill` was found on each host, so that the next connection need not look for it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine import paths
from engine.files import write_atomic
from engine.protocol.errors import EngineError

KEPT = 200
"""Hosts that are remembered at most, the newest."""


def command(host: str) -> str:
    """The path that answered last on this host; empty where none is known."""
    return _read().get(host, "")


def remember(host: str, found: str) -> None:
    """Keep it. A folder that cannot be written costs nothing but the search next time."""
    known = _read()
    if known.get(host, "") == found:
        return
    known.pop(host, None)
    known |= {host: found} if found else {}
    newest = dict(list(known.items())[-KEPT:])
    try:
        write_atomic(_path(), msgspec.json.encode(newest))
    except (OSError, EngineError):
        return


def forget(host: str) -> None:
    """What was remembered does not answer any more."""
    remember(host, "")


def _path() -> Path:
    return paths.state_dir() / "hosts.json"


def _read() -> dict[str, str]:
    try:
        return msgspec.json.decode(_path().read_bytes(), type=dict[str, str])
    except (OSError, EngineError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
