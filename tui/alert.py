"""Calls a person who looks elsewhere: the bell, and a notification by the terminal (OSC 9 or OSC 777).

    [runs]
    notify = "away"     # "always", "bell" (no notification), "off"; away: while the terminal has no focus

What is written to the terminal is one line of clean text: a run's name can command nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal, get_args

from textual.app import App

from engine.api import EngineError, read_table
from tui.text import clean_name

Way = Literal["away", "always", "bell", "off"]
LIMIT = 200
"""Characters of a notification at most."""
TITLE = "Qwill"


def way() -> Way:
    """As the settings say; a file that is wrong, or another word, means the usual."""
    try:
        word = read_table("runs").get("notify", "away")
    except EngineError:
        return "away"
    return next((known for known in get_args(Way) if known == word), "away")


def call(app: App[None], words: str) -> None:
    """Ring, and notify where the settings and the focus say so."""
    how = way()
    if how == "off":
        return
    app.bell()
    driver = app._driver  # Textual has no public way to write a sequence of one's own
    if driver is None or app.is_headless or how == "bell" or (how == "away" and app.app_focus):
        return
    driver.write(wrapped(notification(words), os.environ))
    driver.flush()


def notification(words: str, environ: Mapping[str, str] = os.environ) -> str:
    """The sequence that this terminal understands: OSC 777 for VTE, foot and urxvt, else OSC 9.

    OSC 9 followed by a number and a semicolon would be something else, so the text begins with our name.
    """
    text = clean_name(words)[:LIMIT]
    if environ.get("VTE_VERSION") or environ.get("TERM", "").startswith(("foot", "rxvt")):
        return f"\x1b]777;notify;{TITLE};{text}\x07"
    return f"\x1b]9;{TITLE}: {text}\x07"


def wrapped(sequence: str, environ: Mapping[str, str]) -> str:
    """Through tmux or screen, which swallow it otherwise, in a device control string."""
    if environ.get("TMUX"):
        return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    if environ.get("STY"):
        return f"\x1bP{sequence}\x1b\\"
    return sequence
