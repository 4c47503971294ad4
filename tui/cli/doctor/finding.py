"""One thing that was looked at."""

from __future__ import annotations

from typing import Literal

import msgspec

Level = Literal["ok", "note", "problem"]
MARKS: dict[Level, str] = {"ok": "ok", "note": "note", "problem": "PROBLEM"}


class Finding(msgspec.Struct, frozen=True):
    """`note`: works, but could be better; `problem`: something does not work, or is not safe."""

    area: str
    level: Level
    what: str
    do: str = ""
    """What to do about it; empty when nothing needs doing."""
