"""Whole models that full fine-tuning left in the runs' folders. Reads small files and headers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.models.adapters import NOTE
from engine.models.describe import describe
from engine.models.headers import Broken, read_json
from engine.paths import data_dir
from engine.protocol.errors import EngineError
from engine.protocol.specs import ModelInfo

RESULT = "model"
"""Folder of a run's that a whole model is in; it gets its place by a rename, so it is never half there."""


def trained_folders() -> tuple[Path, ...]:
    """Where they are; the newest run last. Never raises."""
    try:
        found = sorted((data_dir() / "runs").glob(f"[!.]*/{RESULT}/config.json"))
    except (OSError, EngineError):
        return ()
    return tuple(config.parent for config in found)


def trained_models() -> Iterator[ModelInfo]:
    """Each called as its run was. Never raises."""
    for folder in trained_folders():
        yield describe(folder, str(folder), _name(folder), "folder")


def _name(folder: Path) -> str:
    """As its own note says; else the run's id."""
    try:
        name = read_json(folder / NOTE).get("name")
    except (Broken, OSError):
        name = None
    return name if isinstance(name, str) and name.isprintable() and name else folder.parent.name
