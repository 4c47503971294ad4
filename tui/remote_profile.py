"""Whether the screen is painted over a network, and by whose word; imports nothing slow.

[screen]             # in settings.toml
remote = "auto"      # "on": as over ssh; "off": as on this machine
mouse = true         # false: the terminal keeps the mouse, to select text with
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.api import EngineError, config_dir, fault

VARIABLE = "QWILL_REMOTE"
"""1 or 0: `--remote` and `--no-remote` set it, and it may be set by hand."""
SIGNS = ("SSH_CONNECTION", "SSH_TTY")
"""Set by sshd in what it starts, and by tmux in panes that are opened while a client of ssh is attached."""
FPS = 15
ESCAPE = 150
"""Milliseconds after which an Esc is no beginning of a key's sequence; packets of a slow line cut those."""


class Profile(NamedTuple):
    """How the screen is painted."""

    remote: bool
    why: str
    """What decided it, in words."""
    mouse: bool = True


def chosen(environment: Mapping[str, str], table: Mapping[str, Any]) -> Profile:
    """By the command line, else the settings' table `[screen]`, else the signs of ssh.

    Raises EngineError `settings_wrong` for a table that says something else.
    """
    wish, mouse = table.get("remote", "auto"), table.get("mouse", True)
    if wish not in ("auto", "on", "off", True, False) or not isinstance(mouse, bool) or set(table) - _KEYS:
        raise _wrong(table)
    word = environment.get(VARIABLE, "")
    if word in ("0", "1"):
        return Profile(word == "1", f"{VARIABLE} is {word}", mouse)
    if wish != "auto":
        on = wish in ("on", True)
        return Profile(on, f"the settings say remote = {'on' if on else 'off'}", mouse)
    sign = next((name for name in SIGNS if environment.get(name)), "")
    if sign:
        return Profile(True, f"{sign} is set", mouse)
    if environment.get("TMUX"):
        return Profile(False, "no sign of ssh, though tmux may be shown over it", mouse)
    return Profile(False, "no sign of ssh", mouse)


def of_this_start(environment: Mapping[str, str] = os.environ) -> Profile:
    """The profile for this process. Settings that are wrong count as none; doctor tells of them."""
    try:
        return chosen(environment, table())
    except EngineError:
        return chosen(environment, {})


def table() -> dict[str, Any]:
    """`[screen]` of the settings. Raises EngineError."""
    if not (config_dir() / "settings.toml").exists():
        return {}  # its reader need not be imported
    from engine.api import read_table

    return read_table("screen")


def prepare(profile: Profile, environment: Any = os.environ) -> None:
    """Set what Textual reads while it is imported; what a person has set stays."""
    environment.setdefault("TEXTUAL_ANIMATIONS", "none")
    if profile.remote:
        environment.setdefault("TEXTUAL_FPS", str(FPS))
        environment.setdefault("TEXTUAL_SMOOTH_SCROLL", "0")
        environment.setdefault("ESCDELAY", str(ESCAPE))


_KEYS = {"remote", "mouse"}


def _wrong(table: Mapping[str, Any]) -> EngineError:
    path = config_dir() / "settings.toml"
    return fault(
        "settings_wrong",
        f"{path} cannot be used",
        f"[screen] says {', '.join(f'{key} = {value}' for key, value in table.items())}",
        'Its keys are remote ("auto", "on" or "off") and mouse (true or false)',
    )
