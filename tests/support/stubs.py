"""Programs that stand in for real ones on the PATH: each writes down how it was called, plays its part."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest


class Stubs:
    """A folder in front of the PATH. `calls` lists what was called, in order."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder / "stubs"
        self._folder.mkdir()
        self._log = self._folder / "calls.txt"
        monkeypatch.setenv("PATH", f"{self._folder}{os.pathsep}{os.environ['PATH']}")

    def add(self, name: str, script: str) -> None:
        """A program of this name: lines of sh, with the arguments in "$@"."""
        path = self._folder / name
        record = f'printf "%s\\n" "{name} $*" >> {shlex.quote(str(self._log))}\n'
        path.write_text(f"#!/bin/sh\n{record}{script}\n")
        path.chmod(0o755)

    def calls(self, name: str = "") -> list[str]:
        """Each call as one line, of one program or of all."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [line for line in lines if line.startswith(f"{name} ") or not name]
