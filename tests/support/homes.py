"""A home of its own for a test: a short folder (a socket's path is limited), its XDG folders, no network."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

AROUND = ("TMUX", "STY", "SSH_CONNECTION", "SSH_TTY", "QWILL_REMOTE")
"""What whoever runs the tests is shown by."""


@contextmanager
def new_home() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="qw-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def move_into(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment name this home, offline, until the patch is undone."""
    monkeypatch.setenv("HOME", str(folder))
    for name in ("STATE", "DATA", "CONFIG", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(folder / name.lower()))
    monkeypatch.setenv("HF_HOME", str(folder / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("QWILL_FIND_SERVERS", "0")  # whatever runs on this machine
    for name in ("NO_COLOR", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME", *AROUND):
        monkeypatch.delenv(name, raising=False)  # a test must not reach the clipboard of whoever runs it
