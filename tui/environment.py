"""Settings that Textual reads while it is imported; import this before anything of Textual."""

from __future__ import annotations

from tui.remote_profile import of_this_start, prepare

PROFILE = of_this_start()
REMOTE = PROFILE.remote
"""Whether the screen is painted over a network."""
TICK = 1 / 12 if REMOTE else 1 / 30
"""Seconds between two drawings at least."""
STREAM = 1 / 10 if REMOTE else 1 / 15
"""Seconds between two pieces of an answer's Markdown at least."""

prepare(PROFILE)
