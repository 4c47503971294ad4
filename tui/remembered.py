"""What the screen keeps for its next start: one small JSON file in the config folder."""

from __future__ import annotations

import json
from pathlib import Path

from engine.api import EngineError, config_dir, fault, write_atomic


def path() -> Path:
    """Where it lies. Raises EngineError `state_unwritable`."""
    return config_dir() / "screen.json"


def recall(key: str) -> str:
    """What was kept under this name; empty where nothing was, or where the file cannot be read."""
    value = _read().get(key)
    return value if isinstance(value, str) else ""


def keep(key: str, value: str) -> None:
    """Keep it. Raises EngineError `unsaved`; then the file is as it was."""
    text = json.dumps(_read() | {key: value}, indent=2, ensure_ascii=False)
    try:
        write_atomic(path(), text.encode() + b"\n")
    except OSError as error:
        raise fault(
            "unsaved",
            "The choice holds until you leave, but could not be kept",
            error.strerror or str(error),
            f"Make {path()} writable, and free some space",
        ) from error


def _read() -> dict[str, object]:
    try:
        data = json.loads(path().read_bytes())
    except (OSError, ValueError, RecursionError, EngineError):
        return {}
    return data if isinstance(data, dict) else {}
