"""Looks for GGUF files below a folder, within bounds: so deep, so many folders, so many files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from engine.models.gguf_header import is_first

FILES = 500
"""Models taken of one folder and what is below it."""
FOLDERS = 2000


def gguf_files(root: Path, depth: int) -> Iterator[Path]:
    """GGUF models at or below a folder, by name; of a split one the first part.

    Hidden folders and links to folders are left out; links to files count, as the hub's cache has them.
    """
    files, folders, level = FILES, FOLDERS, [root]
    for _ in range(depth + 1):
        further: list[Path] = []
        for folder in level:
            folders -= 1
            if folders < 0:
                return
            found, below = _look(folder)
            further += below
            yield from found[:files]
            files -= len(found)
            if files <= 0:
                return
        level = further


def _look(folder: Path) -> tuple[list[Path], list[Path]]:
    """The GGUF models right in a folder, and the folders in it."""
    found: list[Path] = []
    below: list[Path] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    below.append(Path(entry.path))
                elif _is_gguf(entry):
                    found.append(Path(entry.path))
    except OSError:
        pass  # what cannot be looked into holds nothing that could be loaded
    return sorted(found), sorted(below)


def _is_gguf(entry: os.DirEntry[str]) -> bool:
    path = Path(entry.path)
    return path.suffix.lower() == ".gguf" and is_first(path) and entry.is_file()
