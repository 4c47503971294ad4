"""The list of downloads that are not done: on the disk before one starts, so that none is lost."""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine.files import write_atomic
from engine.hub import places
from engine.hub.files import RepoFile
from engine.paths import state_dir
from engine.protocol.errors import fault
from engine.protocol.hub import DownloadInfo


class Entry(msgspec.Struct, frozen=True):
    """One download, and what it takes."""

    info: DownloadInfo
    files: tuple[RepoFile, ...]


class _Kept(msgspec.Struct, frozen=True):
    downloads: tuple[Entry, ...] = ()


def ledger_path() -> Path:
    """Where the list is kept."""
    return state_dir() / "downloads.json"


def load() -> tuple[Entry, ...]:
    """What was left unfinished; an unreadable list is empty, entries that fit no folder are left out."""
    try:
        kept = msgspec.json.decode(ledger_path().read_bytes(), type=_Kept)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return ()
    return tuple(entry for entry in kept.downloads if _sound(entry))


def save(entries: tuple[Entry, ...]) -> None:
    """Keep the list. Raises EngineError `downloads_unsaved`; then the old one is still there."""
    try:
        write_atomic(ledger_path(), msgspec.json.encode(_Kept(entries)))
    except OSError as error:
        raise fault(
            "downloads_unsaved",
            "The list of downloads could not be saved",
            error.strerror or str(error),
            f"Make {ledger_path()} writable, and free some space",
        ) from error


def _sound(entry: Entry) -> bool:
    info = entry.info
    names = all(places.safe_name(file.name) and "/" not in file.blob for file in entry.files)
    return places.is_id(info.model) and places.is_sha(info.sha) and places.safe_name(info.revision) and names
