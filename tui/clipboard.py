"""Where copied text can go: a clipboard tool of this machine, the terminal (OSC 52), or a file. Says which.

OSC 52 is silent: no terminal confirms it, some ignore it, and most drop one sequence above 100,000 bytes.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from engine.api import data_dir, write_atomic

OSC52_LIMIT = 74_994
"""Bytes of text whose base64 (99,992 bytes) fits with its frame into one sequence of 100,000."""
PATIENCE = 3.0
"""Seconds that a clipboard tool may take."""

Which = Callable[[str], str | None]


def tool(environ: Mapping[str, str] = os.environ, which: Which = shutil.which) -> tuple[str, ...]:
    """The command that fills this machine's clipboard from its input; empty where there is none.

    Over SSH only tmux is one: it passes the text on to the reader's terminal, and it drops what a program
    sends there by itself unless `set-clipboard` is `on` (tmux(1)), which it is not at first.
    """
    candidates = [] if environ.get("SSH_CONNECTION") or environ.get("SSH_TTY") else _local(environ)
    if environ.get("TMUX"):
        candidates.append(("tmux", "load-buffer", "-w", "-"))
    return next((command for command in candidates if which(command[0])), ())


def _local(environ: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Tools that fill the clipboard of this machine's own screen."""
    candidates: list[tuple[str, ...]] = []
    if environ.get("WAYLAND_DISPLAY"):
        candidates.append(("wl-copy",))
    if environ.get("DISPLAY"):
        candidates += [("xclip", "-selection", "clipboard"), ("xsel", "--clipboard", "--input")]
    if sys.platform == "darwin":
        candidates.append(("pbcopy",))
    if environ.get("WSL_DISTRO_NAME"):
        candidates.append(("clip.exe",))
    return candidates


async def by_tool(command: tuple[str, ...], text: str) -> bool:
    """Whether the tool took the text. It may stay in the background to serve it, so nothing of it is read."""
    encoding = "utf-16-le" if command[0] == "clip.exe" else "utf-8"
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return False
    try:
        await asyncio.wait_for(process.communicate(text.encode(encoding, "replace")), PATIENCE)
    except TimeoutError:
        process.kill()
        return False
    return process.returncode == 0


def takes_copies(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the terminal may know OSC 52: the Linux console and GNU screen do not."""
    return not environ.get("STY") and environ.get("TERM") not in ("linux", "dumb")


def fits_terminal(text: str) -> bool:
    """Whether a terminal can be expected to take it by OSC 52."""
    return len(text.encode("utf-8", "replace")) <= OSC52_LIMIT


def to_file(text: str) -> Path:
    """Write it into the data folder, for the reader alone, and tell where. Raises EngineError, OSError."""
    path = data_dir() / "copied.txt"
    write_atomic(path, text.encode("utf-8", "replace"))
    return path
