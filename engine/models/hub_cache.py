"""Models in the Hugging Face cache, read as plain folders (models--ORG--NAME/snapshots/REVISION)."""

from __future__ import annotations

import os
import re
from pathlib import Path

MODELSCOPE = "modelscope"
"""First part of the folders of models that come from there, and of their ids."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_REVISION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*")


def cache_folder() -> Path:
    """HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub, as huggingface_hub has it."""
    if cache := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(cache).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(home).expanduser() / "hub"
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser() / "huggingface" / "hub"


def cached_models(cache: Path) -> list[tuple[str, Path]]:
    """Hub id and snapshot folder of each model that has a config.json, by id."""
    return _cached(cache, "config.json")


def cached_repositories(cache: Path) -> list[tuple[str, Path]]:
    """Hub id and snapshot folder of everything of the kind model, whatever is in it, by id."""
    return _cached(cache, "")


def _cached(cache: Path, needed: str) -> list[tuple[str, Path]]:
    found: list[tuple[str, Path]] = []
    try:
        folders = sorted(cache.glob("models--*"))
    except OSError:
        return []
    for folder in folders:
        parts = folder.name.removeprefix("models--").split("--")
        theirs = len(parts) == 3 and parts[0] == MODELSCOPE
        if (len(parts) > 2 and not theirs) or not all(_NAME.fullmatch(part) for part in parts):
            continue
        snapshot = _snapshot(folder, needed)
        if snapshot is not None:
            found.append((f"{MODELSCOPE}:{'/'.join(parts[1:])}" if theirs else "/".join(parts), snapshot))
    return found


def _snapshot(folder: Path, needed: str) -> Path | None:
    """Where refs/main points, else the newest snapshot that holds the file `needed`."""
    snapshots = folder / "snapshots"
    try:
        names = [_reference(folder / "refs" / "main")]
        if not names[0]:
            entries = sorted(snapshots.iterdir(), key=lambda entry: entry.stat().st_mtime, reverse=True)
            names = [entry.name for entry in entries]
        for name in names:
            there = snapshots / name / needed
            if _REVISION.fullmatch(name) and (there.is_file() if needed else there.is_dir()):
                return snapshots / name
    except OSError:
        return None
    return None


def _reference(path: Path) -> str:
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return file.read(200).decode("ascii", "replace").strip()
    except OSError:
        return ""
