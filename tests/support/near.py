"""`ssh` without a network: what should run on the other machine runs here, in this home."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.pty_app import ROOT

SSH = '#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n'
"""Runs its last argument; asked for its settings (-G) it fails, so that no connection is shared."""


def near(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let every host be this home. Returns the `qwill` that is found there."""
    ssh = program(home / "near-ssh", SSH)
    monkeypatch.setenv("QWILL_SSH", str(ssh))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return program(home / ".local/bin/qwill", f'#!/bin/sh\nexec "{sys.executable}" -m tui.cli.main "$@"\n')


def program(path: Path, text: str) -> Path:
    """A file that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path
