"""The terminal: size, colours, characters, keys, and what lies between it and this program."""

from __future__ import annotations

import codecs
import locale
import os
import select
import shutil
import sys
import termios
import time
import tty
from collections.abc import Mapping

from tui.cli.doctor.finding import Finding

AREA = "Terminal"
LEAST = (80, 24)
"""Columns and lines that every screen fits."""
TRUE_COLOUR = ("truecolor", "24bit")
ASK_KEYS = b"\x1b[?u\x1b[c"
"""The keyboard flags (only terminals with the kitty protocol answer), then what every one answers."""
ANSWER_SECONDS = 0.4


def check_terminal(environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """What the environment and the terminal itself tell."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        what = "stdin or stdout is no terminal, so its size, colours and keys were not looked at"
        do = "Run `qwill doctor` in the terminal that you use"
        return [_characters(), Finding(AREA, "note", what, do)]
    around = between(environment)
    return [_size(), _characters(), colours(environment), *around, keys(ask_terminal(ASK_KEYS))]


def _size() -> Finding:
    columns, lines = shutil.get_terminal_size()
    what = f"{columns} columns, {lines} lines"
    if columns >= LEAST[0] and lines >= LEAST[1]:
        return Finding(AREA, "ok", what)
    return Finding(AREA, "note", what, f"Make the window at least {LEAST[0]} by {LEAST[1]}")


def _characters() -> Finding:
    encoding = locale.getpreferredencoding(False)
    if codecs.lookup(encoding).name == "utf-8":
        return Finding(AREA, "ok", f"Characters: {encoding}")
    do = "Set a UTF-8 locale, for example: export LC_ALL=C.UTF-8"
    return Finding(AREA, "problem", f"Characters: {encoding}, which lacks most of the world's", do)


def colours(environment: Mapping[str, str]) -> Finding:
    """By what the environment says of the terminal."""
    name = environment.get("TERM", "")
    if environment.get("NO_COLOR"):
        return Finding(AREA, "note", "Colours are off: NO_COLOR is set", "Unset NO_COLOR to see them")
    if environment.get("COLORTERM", "").lower() in TRUE_COLOUR:
        return Finding(AREA, "ok", f"Colours: 16 million (TERM={name})")
    if name in ("", "dumb"):
        do = "Use a terminal emulator, or set TERM to its name, such as xterm-256color"
        return Finding(AREA, "problem", f"TERM is {name or 'not set'}: no screen can be painted", do)
    count = 256 if "256" in name else 16
    do = "If your terminal knows 24-bit colour: export COLORTERM=truecolor"
    return Finding(AREA, "note", f"Colours: {count} (TERM={name}, COLORTERM is not truecolor)", do)


def between(environment: Mapping[str, str]) -> list[Finding]:
    """tmux and screen; what ssh changes is told by `doctor.screen`."""
    found = []
    if environment.get("TMUX"):
        do = "In tmux.conf: set -g extended-keys on; set -sg escape-time 10"
        found.append(Finding(AREA, "note", "Inside tmux: some keys need its help", do))
    elif environment.get("STY"):
        do = "tmux passes more of them on"
        found.append(Finding(AREA, "note", "Inside screen: few colours, no clipboard", do))
    return found


def keys(answer: bytes) -> Finding:
    """By what the terminal answered to ASK_KEYS."""
    if not answer:
        return Finding(AREA, "note", "The terminal did not answer, so its keyboard protocol is unknown")
    if b"\x1b[?" in answer and b"u" in answer:
        return Finding(AREA, "ok", "Keys: the kitty protocol, so Shift+Enter begins a line")
    do = "Ctrl+J begins a new line in the composer"
    return Finding(AREA, "ok", "Keys: the classic ones; Shift+Enter is the same as Enter here", do)


def ask_terminal(question: bytes) -> bytes:
    """What the terminal answers, up to the `c` that ends it; empty when it keeps silent."""
    try:
        before = termios.tcgetattr(0)
    except termios.error:
        return b""
    answer = b""
    try:
        tty.setcbreak(0)
        os.write(1, question)
        deadline = time.monotonic() + ANSWER_SECONDS
        while not answer.endswith(b"c") and (left := deadline - time.monotonic()) > 0:
            if select.select([0], [], [], left)[0]:
                answer += os.read(0, 64)
    finally:
        termios.tcsetattr(0, termios.TCSAFLUSH, before)
    return answer
