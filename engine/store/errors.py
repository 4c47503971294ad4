"""What SQLite says, in words a person can act on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.protocol.errors import EngineError, fault


@contextmanager
def spoken(path: Path) -> Iterator[None]:
    """Turn sqlite3's errors about this store into an EngineError: disk_full, store_corrupt, store_unwritable,
    store_busy or store_failed. Mistakes of the program (constraints, wrong SQL) pass as they are."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except (sqlite3.DatabaseError, OSError) as error:
        raise translate(path, error) from error


def translate(path: Path, error: sqlite3.Error | OSError) -> EngineError:
    """The EngineError for what went wrong with the store at this path."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    code = _code(error)
    if code == sqlite3.SQLITE_FULL:
        return fault(
            "disk_full",
            "The disk is full, so the chat could not be saved",
            f"{path} could not grow",
            "Free some space, then send again",
            retryable=True,
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _corrupt(path, reason)
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return fault(
            "store_unwritable",
            f"The chats in {path} cannot be written",
            reason,
            "Make the file and its folder writable, or set XDG_DATA_HOME to a folder that is",
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return fault(
            "store_busy",
            f"Another program holds {path}",
            reason,
            "Close the program that has it open, then try again",
            retryable=True,
        )
    return fault(
        "store_failed", f"The chats in {path} could not be read or written", reason, "Check the disk"
    )


def _corrupt(path: Path, reason: str) -> EngineError:
    copies = copies_of(path)
    remedy = f"Move {path} away (Qwill then starts an empty one)"
    if copies:
        remedy += f", or put its copy {copies[-1]} in its place"
    return fault("store_corrupt", f"The chats in {path} are damaged", reason, remedy)


def copies_of(path: Path) -> list[Path]:
    """Copies that migrations made of this store, the newest version last."""
    versions: list[tuple[int, Path]] = []
    for copy in path.parent.glob(f"{path.name}.v*.bak"):
        number = copy.name.removeprefix(f"{path.name}.v").removesuffix(".bak")
        if number.isdecimal():
            versions.append((int(number), copy))
    return [copy for _, copy in sorted(versions)]


def _code(error: sqlite3.Error | OSError) -> int:
    """SQLite's primary result code."""
    if isinstance(error, OSError):
        return sqlite3.SQLITE_FULL if error.errno in (28, 122) else sqlite3.SQLITE_CANTOPEN
    # Errors raised by the module itself, such as a closed connection, carry no code.
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF
