"""Data files of this machine that could be trained on: below the present folder, and one's own datasets."""

from __future__ import annotations

import re
from pathlib import Path

from engine.api import EngineError, data_dir
from tui.path_search import Found, find

ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
MOST = 20
"""Files listed at most."""
_VERSION = re.compile(r"\.[0-9a-f]{12}$")
"""Ends the name of a file that was replaced and kept."""


def nearby() -> list[Found]:
    """Files below the present folder that look like data. Blocks on the disk for a second at most."""
    found: dict[str, Found] = {}
    for ending in ENDINGS:
        found |= {each.text: each for each in find(ending) if not each.folder and each.text.endswith(ending)}
    return list(found.values())[:MOST]


def own() -> list[str]:
    """Paths of the datasets written here, newest first."""
    try:
        files = [path for path in (data_dir() / "datasets").glob("*.jsonl") if not _VERSION.search(path.stem)]
        return [str(path) for path in sorted(files, key=lambda path: -path.stat().st_mtime)][:MOST]
    except (OSError, EngineError):
        return []


def own_name(data: str) -> str:
    """The name of a dataset of one's own by its path; empty for any other data."""
    try:
        path = Path(data)
        return path.stem if path.parent == data_dir() / "datasets" and path.suffix == ".jsonl" else ""
    except EngineError:
        return ""
