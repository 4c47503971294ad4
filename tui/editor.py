"""Hands a text to the person's own editor and takes it back."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from engine.api import fault

FALLBACKS = ("nano", "vi")


def command() -> list[str]:
    """$VISUAL, else $EDITOR, else nano or vi. Raises EngineError `no_editor`."""
    for variable in ("VISUAL", "EDITOR"):
        words = _split(os.environ.get(variable, ""))
        if words and shutil.which(words[0]):
            return words
    for editor in FALLBACKS:
        if shutil.which(editor):
            return [editor]
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    raise fault(
        "no_editor",
        f"The editor `{named}` was not found" if named else "There is no editor here",
        "Neither $VISUAL nor $EDITOR names one, and nano and vi are not installed",
        "Set EDITOR to an editor's command",
    )


def edit(text: str, editor: list[str], suffix: str = ".md") -> str:
    """The text as it was saved. The terminal must be free. Raises EngineError `editor_failed`."""
    handle, name = tempfile.mkstemp(prefix="qwill-", suffix=suffix)  # mode 0600
    path = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n" if text else "")
        status = _run([*editor, name])
        if status != 0:
            ended = f"signal {-status}" if status < 0 else f"status {status}"
            raise fault("editor_failed", f"{editor[0]} ended with {ended}; the draft is as it was")
        return path.read_text(encoding="utf-8", errors="replace").rstrip("\n")
    except OSError as error:
        raise fault(
            "editor_failed",
            f"{editor[0]} could not be run; the draft is as it was",
            error.strerror or str(error),
        ) from error
    finally:
        for left in (path, Path(f"{name}~")):
            left.unlink(missing_ok=True)


def _run(words: list[str]) -> int:
    """The editor's exit status. Ctrl+C in the terminal is the editor's alone meanwhile."""
    before = signal.signal(signal.SIGINT, lambda number, frame: None)  # a handler, which exec gives up
    try:
        return subprocess.run(words, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)


def _split(words: str) -> list[str]:
    try:
        return shlex.split(words)
    except ValueError:
        return []
