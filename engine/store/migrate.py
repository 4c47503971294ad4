"""Brings a store to this program's version: a copy first, then one transaction a step."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from engine.files import sync_folder
from engine.protocol.errors import EngineError, fault
from engine.store.errors import copies_of
from engine.store.index import prepare
from engine.store.schema import MIGRATIONS


def migrate(
    connection: sqlite3.Connection, path: Path | None, migrations: tuple[str, ...] = MIGRATIONS
) -> None:
    """Run the scripts that are missing. `path` is the store's file, None in memory.

    Raises EngineError `store_newer` for a store of a later program, before anything is written to it;
    sqlite3 errors pass, with the store as it was before the failed step.
    """
    prepare(connection)
    found = version_of(connection)
    if found > len(migrations):
        raise _newer(found, len(migrations), path)
    if found == len(migrations):
        return
    if found > 0 and path is not None:
        copy_store(connection, path.with_name(f"{path.name}.v{found}.bak"))
    for number in range(found, len(migrations)):
        _step(connection, migrations[number], number + 1)


def version_of(connection: sqlite3.Connection) -> int:
    """`PRAGMA user_version`; 0 for an empty store."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def copy_store(connection: sqlite3.Connection, target: Path) -> None:
    """A consistent copy of an open store, mode 0600, whole or not at all."""
    temp = target.with_name(f".{target.name}.tmp")
    temp.unlink(missing_ok=True)
    os.close(os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        copy = sqlite3.connect(temp)
        try:
            connection.backup(copy)
        finally:
            copy.close()
        descriptor = os.open(temp, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temp, target)
    finally:
        temp.unlink(missing_ok=True)
    sync_folder(target.parent)


def _step(connection: sqlite3.Connection, script: str, version: int) -> None:
    try:
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {version};\nCOMMIT;")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.rollback()
        raise


def _newer(found: int, known: int, path: Path | None) -> EngineError:
    remedy = "Update Qwill"
    copies = copies_of(path) if path is not None else []
    if copies:
        remedy += f", or put the older copy {copies[-1]} in its place"
    return fault(
        "store_newer",
        "The chats were saved by a newer Qwill",
        f"{path or 'The store'} has version {found}, and this program knows up to {known}",
        remedy,
    )
