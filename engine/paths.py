"""Where Qwill keeps things: XDG folders by platformdirs, all private to the user."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from engine.protocol.errors import fault

APP = "qwill"
SOCKET_LIMIT = 104
"""Bytes of a unix socket's path at most (sun_path: 108 on Linux, 104 on macOS)."""


def state_dir() -> Path:
    """Socket, lock, logs. Created with mode 0700; raises EngineError `state_unwritable`."""
    return _private(Path(platformdirs.user_state_dir(APP)))


def data_dir() -> Path:
    """Chats, runs, adapters. Created with mode 0700; raises EngineError `state_unwritable`."""
    return _private(Path(platformdirs.user_data_dir(APP)))


def cache_dir() -> Path:
    """What can be made again. Created with mode 0700; raises EngineError `state_unwritable`."""
    return _private(Path(platformdirs.user_cache_dir(APP)))


def config_dir() -> Path:
    """Settings, user themes, keymap. Created with mode 0700; raises EngineError `state_unwritable`."""
    return _private(Path(platformdirs.user_config_dir(APP)))


def socket_path() -> Path:
    """The engine's socket; raises EngineError `socket_path_long` where the system could not bind it."""
    path = state_dir() / "engine.sock"
    if len(os.fsencode(path)) >= SOCKET_LIMIT:
        raise fault(
            "socket_path_long",
            f"The state folder's path is too long for a socket: {path}",
            remedy="Set XDG_STATE_HOME to a shorter path",
        )
    return path


def lock_path() -> Path:
    """Held by `flock` for as long as an engine lives."""
    return state_dir() / "engine.lock"


def log_path() -> Path:
    """Everything that the engine and its libraries print."""
    return state_dir() / "engine.log"


def exit_path() -> Path:
    """How the last engine ended, written by its parent."""
    return state_dir() / "engine.exit.json"


def store_path() -> Path:
    """The SQLite file with the chats."""
    return data_dir() / "qwill.db"


def _private(path: Path) -> Path:
    try:
        if not path.is_dir():
            path.mkdir(parents=True, mode=0o700, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise PermissionError(13, "not writable")
    except OSError as error:
        raise fault(
            "state_unwritable",
            f"{path} cannot be written",
            error.strerror or str(error),
            "Make it writable, or set XDG_STATE_HOME, XDG_DATA_HOME and XDG_CONFIG_HOME to folders that are",
        ) from error
    return path
