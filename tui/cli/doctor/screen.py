"""How the screen is painted, and where copied text goes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

from engine.api import EngineError
from tui.cli.doctor.finding import Finding
from tui.clipboard import Which, takes_copies, tool
from tui.remote_profile import FPS, Profile, chosen, table

AREA = "Screen"
ANSWER_SECONDS = 2.0
"""That tmux has to answer."""


def check_screen(environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """The profile with what decided it, then the clipboard."""
    try:
        profile = chosen(environment, table())
    except EngineError as error:
        what = f"{error.info.title}: {error.info.detail}"
        return [Finding(AREA, "problem", what, error.info.remedy), copied(environment)]
    return [*painted(profile, environment), copied(environment)]


def painted(profile: Profile, environment: Mapping[str, str]) -> list[Finding]:
    """Which profile is on, and why."""
    mouse = "" if profile.mouse else "; the mouse is the terminal's"
    if profile.remote:
        what = f"Painted as over a network ({profile.why}): {FPS} frames a second, only what changes{mouse}"
        return [Finding(AREA, "ok", what)]
    what = f"Painted as on this machine ({profile.why}){mouse}"
    if environment.get("TMUX"):
        return [Finding(AREA, "note", what, "Over ssh: `qwill --remote`, or open a new tmux window")]
    return [Finding(AREA, "ok", what)]


def copied(
    environment: Mapping[str, str], which: Which = shutil.which, setting: str | None = None
) -> Finding:
    """Where copied text goes; `setting` is tmux's `set-clipboard`, which is asked for where it is None."""
    command = tool(environment, which)
    if command and command[0] == "tmux":
        if (of_tmux() if setting is None else setting) == "off":
            do = "In tmux.conf: set -s set-clipboard on"
            what = "Copied text goes to tmux's own buffer alone (set-clipboard off)"
            return Finding(AREA, "note", what, do)
        return Finding(AREA, "ok", "Copied text goes to tmux, which passes it on to the terminal")
    if command:
        return Finding(AREA, "ok", f"Copied text goes to the clipboard by {command[0]}")
    if not takes_copies(environment):
        return Finding(AREA, "note", "This terminal has no clipboard: copied text goes to a file")
    what = "Copied text is sent to the terminal (OSC 52), which never says whether it took it"
    return Finding(AREA, "ok", what)


def of_tmux() -> str:
    """`set-clipboard` of the tmux that this runs in; empty where it cannot be asked."""
    try:
        asked = subprocess.run(
            ["tmux", "show-options", "-s", "-v", "set-clipboard"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""
