"""Names of files that came over a wire: what may be one, and what becomes of one that may not."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from engine.protocol.errors import EngineError, fault

LONGEST = 64
DEPTH = 3
"""Parts of a relative name at most."""
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_HASH = re.compile(r"[0-9a-f]{64}")
TAKEN = frozenset((".json", ".jsonl", ".toml", ".md", ".txt", ".jinja", ".model", ".safetensors", ".csv"))
"""Endings of the files of a run that travel; never programs, never pickles."""


def is_hash(text: str) -> bool:
    """Whether it is a SHA-256 in small hex digits."""
    return _HASH.fullmatch(text) is not None


def is_plain(name: str) -> bool:
    """Whether a relative name is safe as it stands: no `..`, nothing hidden, absolute, empty or odd."""
    parts = name.split("/")
    return len(parts) <= DEPTH and all(_PART.fullmatch(part) for part in parts)


def is_taken(name: str) -> bool:
    """Whether a run's file of this name travels."""
    return is_plain(name) and PurePosixPath(name).suffix.lower() in TAKEN


def require_taken(name: str) -> str:
    """The name itself; raises EngineError `parcel_wrong` for one that must not reach a disk."""
    if not is_taken(name):
        raise wrong(f"{name[:80]!r} is no name of a file that may be brought here")
    return name


def tidy(name: str) -> str:
    """A file's own name with what is odd replaced, its ending kept: `../My täble.csv` is `My-t-ble.csv`."""
    last = name.replace("\\", "/").rpartition("/")[2]
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", last).lstrip("-.")
    stem, dot, ending = plain.rpartition(".")
    if not dot:
        stem, ending = plain, ""
    ending = f".{ending[:12]}" if ending else ""
    return (stem.strip("-.")[: LONGEST - len(ending)] or "data") + ending


def wrong(why: str) -> EngineError:
    """The fault of what no client of ours sends, and no engine of ours lists."""
    return fault("parcel_wrong", "The other side named something that cannot be taken", why)
