"""Puts the terminal right when the screen is killed without a word (`kill -9`, the kernel's OOM killer).

A few lines of /bin/sh in a session of their own wait at a pipe. It ends with the process, however that ends;
if the last word in it was that the screen is up, the terminal gets its modes back. That costs a megabyte.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import IO

SHELL = Path("/bin/sh")
SCRIPT = """\
while read -r word; do state=$word; done
[ "$state" = up ] || exit 0
printf "$1"
exec <&1
case $(stty -a) in *-isig*) stty icrnl ixon echo icanon isig iexten;; esac
"""
"""A shell that has taken the terminal over has set `isig` already; then it is left alone."""


class Watcher:
    """Told whether the screen is up. Every method is safe where there is no shell, or where it has died."""

    def __init__(self) -> None:
        self._pipe: IO[bytes] | None = None
        self.up = False
        """Whether the terminal has our modes."""

    def start(self, terminal: int, restore: str) -> None:
        """Begin to wait. `terminal` is its descriptor, `restore` the sequences that turn everything off."""
        if self._pipe is not None or not SHELL.exists():
            return
        octal = restore.replace("\x1b", "\\033")
        try:
            process = subprocess.Popen(
                [str(SHELL), "-c", SCRIPT, "qwill-watcher", octal],
                stdin=subprocess.PIPE,
                stdout=terminal,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # neither the terminal's hang-up nor a kill of its group ends it
            )
        except OSError:
            return
        process.returncode = 0  # it outlives us: nobody here waits for it
        self._pipe = process.stdin
        self.say(up=self.up)

    def say(self, *, up: bool) -> None:
        """Whether the terminal has our modes from now on."""
        self.up = up
        if self._pipe is None:
            return
        try:
            self._pipe.write(b"up\n" if up else b"down\n")
            self._pipe.flush()
        except OSError:
            self._pipe = None
