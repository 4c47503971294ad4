"""The folders that a person added to look for models in: one small JSON file in the config folder."""

from __future__ import annotations

import json
from pathlib import Path

from engine.files import write_atomic
from engine.paths import config_dir
from engine.protocol.errors import fault


def folders_path() -> Path:
    """Where the list is kept."""
    return config_dir() / "folders.json"


def load_folders() -> tuple[Path, ...]:
    """The added folders, in the order they were added; an unreadable list counts as empty."""
    try:
        data = json.loads(folders_path().read_bytes())
    except (OSError, ValueError, RecursionError):
        return ()
    items = data.get("folders") if isinstance(data, dict) else None
    if not isinstance(items, list):
        return ()
    return tuple(Path(item) for item in items if isinstance(item, str) and item.startswith("/"))


def add_folder(path: Path | str) -> tuple[Path, ...]:
    """Add a folder, kept for later starts; returns the new list.

    Raises EngineError `folder_not_found`, `state_unwritable` or `folders_unsaved`.
    """
    try:
        resolved = Path(path).expanduser().resolve(strict=True)
        if not resolved.is_dir():
            raise NotADirectoryError(20, "It is a file")
        str(resolved).encode()
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "Its name cannot be used"
        raise fault(
            "folder_not_found",
            f"The folder {str(path)!r} cannot be added",
            reason or str(error),
            "Give the path of a folder that exists on the engine's machine",
        ) from error
    known = load_folders()
    if resolved not in known:
        known = (*known, resolved)
        _save(known)
    return known


def remove_folder(path: Path | str) -> tuple[Path, ...]:
    """Forget a folder (nothing on the disk is touched); returns the new list."""
    names = (Path(path), Path(path).absolute())
    kept = tuple(known for known in load_folders() if known not in names)
    _save(kept)
    return kept


def _save(kept: tuple[Path, ...]) -> None:
    text = json.dumps({"folders": [str(folder) for folder in kept]}, indent=2, ensure_ascii=False)
    try:
        write_atomic(folders_path(), text.encode() + b"\n")
    except OSError as error:
        raise fault(
            "folders_unsaved",
            "The list of model folders could not be saved",
            error.strerror or str(error),
            f"Make {folders_path()} writable, and free some space",
        ) from error
