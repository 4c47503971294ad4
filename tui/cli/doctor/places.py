"""The folders and files that hold chats and runs: whether others may read them, and the space left."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from engine.api import (
    EngineError,
    config_dir,
    data_dir,
    log_path,
    socket_path,
    state_dir,
    store_path,
)
from tui.cli.doctor.finding import Finding
from tui.format import size

AREA = "Folders and disk"
LEAST_FREE = 512 << 20
"""Bytes below which chats and adapters soon fail to be saved."""
GOOD_FREE = 5 << 30
"""Bytes that a small model and a few runs take."""


def check_places() -> list[Finding]:
    """Each folder, each file that is there already, then the disks."""
    found: list[Finding] = []
    try:
        folders = {"State": state_dir(), "Data": data_dir(), "Config": config_dir()}
        files = {"Chats": store_path(), "Log": log_path(), "Socket": socket_path()}
    except EngineError as error:
        return [Finding(AREA, "problem", error.info.title, error.info.remedy)]
    found += [private(name, path, 0o700) for name, path in folders.items()]
    found += [private(name, path, 0o600) for name, path in files.items() if path.exists()]
    token = _hub_home() / "token"
    if token.exists():
        found.append(private("Hugging Face token", token, 0o600))
    return [*found, space("data", folders["Data"], least=LEAST_FREE), space("models", _hub_home(), least=0)]


def private(name: str, path: Path, wanted: int) -> Finding:
    """Whether only this user can get at it."""
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.getuid():
        do = f"Run: sudo chown -R $USER {path}"
        return Finding(AREA, "problem", f"{name}: {path} belongs to another user", do)
    if mode & 0o077:
        what = f"{name}: other users can get at {path} (mode {mode:04o})"
        return Finding(AREA, "problem", what, f"Run: chmod {wanted:o} {path}")
    return Finding(AREA, "ok", f"{name}: {path} (mode {mode:04o})")


def space(what: str, path: Path, *, least: int) -> Finding:
    """Free space of the disk that a folder is on, or will be."""
    while not path.exists():
        path = path.parent
    free = shutil.disk_usage(path).free
    words = f"{size(free)} free for {what} ({path})"
    if free < least:
        return Finding(AREA, "problem", words, "Free some space: what cannot be saved is lost")
    if free < GOOD_FREE:
        return Finding(AREA, "note", words, "A small model takes 1 to 4 GiB")
    return Finding(AREA, "ok", words)


def _hub_home() -> Path:
    return Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
