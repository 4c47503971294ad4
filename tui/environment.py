"""Settings that Textual reads while it is imported; import this before anything of Textual."""

from __future__ import annotations

import os

REMOTE = bool(os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"))
"""Whether the screen is painted over a network."""
TICK = 1 / 12 if REMOTE else 1 / 30
"""Seconds between two drawings at least."""
STREAM = 1 / 10 if REMOTE else 1 / 15
"""Seconds between two pieces of an answer's Markdown at least."""

os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
if REMOTE:
    os.environ.setdefault("TEXTUAL_FPS", "15")
