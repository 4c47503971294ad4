"""Screens as text, kept in tests/snapshots: what a person sees must not change without somebody looking.

`QWILL_SNAPSHOTS=write python -m pytest tests/tui/test_snapshots.py` writes them anew; look at the difference.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "snapshots"
_MOVING = (
    (re.compile(r"\b\d\d:\d\d\b"), "HH:MM"),
    (re.compile(r"thinking \d+\.\d s"), "thinking 1.2 s"),
    (re.compile(r"\bv?\d+\.\d+\.\d+\b"), "1.2.3"),
)
"""What differs from run to run, and what stands for it; as long as what it replaces."""


def check(name: str, screen: str) -> None:
    """The screen is as it was kept, clocks aside."""
    text = "\n".join(line.rstrip() for line in screen.splitlines()).rstrip() + "\n"
    for pattern, stand_in in _MOVING:
        text = pattern.sub(stand_in, text)
    path = FOLDER / f"{name}.txt"
    if os.environ.get("QWILL_SNAPSHOTS") == "write":
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return
    kept = path.read_text(encoding="utf-8") if path.exists() else ""
    assert text == kept, f"{path.name} differs; QWILL_SNAPSHOTS=write keeps the new one:\n{text}"
