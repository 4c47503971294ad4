"""Runs a `qwill` command on another machine, on this terminal: what is about that machine is said by it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from engine.protocol.errors import EngineLost
from engine.remote import command, remember, words
from engine.remote.ssh import arguments

NOT_FOUND = 127
OF_SSH = 255


def run_there(host: str, asked: Sequence[str], *, terminal: bool = False) -> int:
    """Run `qwill` with these words on the host, its output on ours; returns its exit status.

    `terminal`: give it a terminal there, for what a person watches. Raises EngineError `host_name`, and
    EngineLost when ssh itself failed or no Qwill was found there; ssh's own words are on stderr by then.
    """
    wanted = [*arguments(host, person=True, terminal=terminal), command.remote(asked, remember.command(host))]
    try:
        code = subprocess.run(wanted, check=False).returncode
    except OSError as error:
        raise EngineLost(words.no_ssh(wanted[0])) from error
    if code == OF_SSH:
        raise EngineLost(words.no_line(host, code, "", b""))
    if code == NOT_FOUND:
        remember.forget(host)
        raise EngineLost(words.missing(host))
    return code
