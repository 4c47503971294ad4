"""The names of what can need drawing again."""

from __future__ import annotations

import enum
from typing import NamedTuple


class What(enum.Enum):
    """The parts of the screen that can need drawing."""

    ENGINE = "engine"
    """The link, or the engine itself."""
    MODELS = "models"
    CHATS = "chats"
    PATH = "path"
    """Which messages a chat shows; `id` is the chat."""
    TURN = "turn"
    """One message; `id` is the message."""
    MONITOR = "monitor"
    STRAIN = "strain"
    """Memory became short, or is not any more."""
    SPEED = "speed"
    NOTICE = "notice"
    GAP = "gap"
    """Something was missed: the chat `id` must be read again."""
    HEAD = "head"
    """The path of the chat `id` ends elsewhere than shown, unless its new messages are on their way."""
    RUNS = "runs"
    """The list of runs, or where one of them stands; `id` is the run."""
    CURVE = "curve"
    """Points of the run `id`."""
    RUN_GAP = "run gap"
    """Points of the run `id` were passed over: its log must be read."""
    RUN_END = "run end"
    """The run `id` has just ended."""
    RUN_CALLS = "run calls"
    """The run `id` stands still and needs the person, or something was found out about its health."""
    ADAPTERS = "adapters"
    DOWNLOADS = "downloads"
    """How far a download is; `id` is the download."""


class Dirty(NamedTuple):
    """One part to draw again."""

    what: What
    id: str = ""
