"""Every test runs in folders of its own, offline."""

from __future__ import annotations

import gc
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_collection_finish() -> None:
    """Leave what was imported to nobody's collector: the engine collects after each load and each reply."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short private home (a socket's path is limited), with XDG folders and Hugging Face's cache in it."""
    folder = Path(tempfile.mkdtemp(prefix="qw-"))
    monkeypatch.setenv("HOME", str(folder))
    for name in ("STATE", "DATA", "CONFIG", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(folder / name.lower()))
    monkeypatch.setenv("HF_HOME", str(folder / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("QWILL_FIND_SERVERS", "0")  # whatever runs on this machine
    for name in ("NO_COLOR", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"):
        monkeypatch.delenv(name, raising=False)  # a test must not reach the clipboard of whoever runs it
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
