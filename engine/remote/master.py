"""One connection to a host for several `ssh` processes, where the user has not arranged for that already.

The first opens it; later ones (a push of data, a second command) need no password and no round trips. It
leaves by itself a while after the last one. ssh_config(5): ControlMaster, ControlPath, ControlPersist.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from engine import paths
from engine.protocol.errors import EngineError

PERSIST = 30
"""Seconds for which it waits for the next process."""
HASH = 40
"""Characters of `%C`."""
SUFFIX = 18
"""Characters that `ssh` adds while it makes the socket."""
PATIENCE = 5.0
"""Seconds for what needs no network."""


_broken: set[tuple[str, ...]] = set()
"""Hosts whose shared connection, the user's own, fell silent: it would hold up whoever joins it."""


def options(program: Sequence[str], host: str) -> list[str]:
    """Values of `-o`; none where the user's configuration has its own, or the path would be too long."""
    folder = _folder()
    if _has_own(tuple(program), host):
        return ["ControlPath=none"] if (*program, host) in _broken else []
    if folder is None:
        return []
    return ["ControlMaster=auto", f"ControlPath={folder}/%C", f"ControlPersist={PERSIST}"]


def leave(program: Sequence[str], host: str) -> None:
    """End our connection to a host: a broken one would hold up the next process. The user's is avoided."""
    if _has_own(tuple(program), host):
        _broken.add((*program, host))
        return
    wanted = [part for option in options(program, host) for part in ("-o", option)]
    if not wanted:
        return
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            [*program, *wanted, "-O", "exit", host],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
        )


def _folder() -> Path | None:
    try:
        folder = paths.state_dir() / "ssh"
        folder.mkdir(mode=0o700, exist_ok=True)
    except (OSError, EngineError):
        return None
    too_long = len(os.fsencode(folder)) + 1 + HASH + SUFFIX >= paths.SOCKET_LIMIT
    return None if too_long or "%" in str(folder) or " " in str(folder) else folder


@lru_cache(maxsize=64)
def _has_own(program: tuple[str, ...], host: str) -> bool:
    """Whether the user's configuration shares connections (`ssh -G`). An ssh that cannot tell is let be."""
    try:
        done = subprocess.run(
            [*program, "-G", host], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired):
        return True
    found = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    path = found.get("controlpath", "none")
    return (
        done.returncode != 0 or path != "none" or found.get("controlmaster", "false") not in ("false", "no")
    )
