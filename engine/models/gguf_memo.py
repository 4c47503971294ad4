"""What was read of GGUF files, kept on disk: a large vocabulary takes a tenth of a second to walk over."""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine import VERSION
from engine.files import write_atomic
from engine.paths import cache_dir
from engine.protocol.errors import EngineError
from engine.protocol.specs import ModelInfo

LIMIT = 16 << 20
"""Bytes of the file at most."""
MOST = 2000
"""Files remembered at most; those read longest ago go first."""
Key = tuple[str, int, int]
"""Path, time of the last change in ns, and size: another file under the same name has another key."""


class _Kept(msgspec.Struct, frozen=True):
    version: str
    files: list[tuple[Key, ModelInfo | None]]


class Memo:
    """Reads its file at the first question. Used from one thread at a time."""

    def __init__(self) -> None:
        self._known: dict[Key, ModelInfo | None] | None = None
        self._place: Path | None = None
        self._fresh = False

    def knows(self, key: Key) -> bool:
        return key in self._all()

    def get(self, key: Key) -> ModelInfo | None:
        """What was read of a known file; None: it is no model."""
        return self._all()[key]

    def put(self, key: Key, model: ModelInfo | None) -> None:
        self._all()[key] = model
        self._fresh = True

    def save(self) -> None:
        """Write what is new; a disk that refuses costs only time at the next start."""
        if not self._fresh or self._place is None:
            return
        self._fresh = False
        kept = _Kept(VERSION, list(self._all().items())[-MOST:])
        try:
            write_atomic(self._place, msgspec.json.encode(kept))
        except OSError:
            return

    def _all(self) -> dict[Key, ModelInfo | None]:
        place = _place()
        if self._known is None or place != self._place:
            self._known, self._place, self._fresh = _read(place), place, False
        return self._known


def _place() -> Path | None:
    try:
        return cache_dir() / "gguf.json"
    except EngineError:  # no place to write to
        return None


def _read(place: Path | None) -> dict[Key, ModelInfo | None]:
    try:
        if place is None or place.stat().st_size > LIMIT:
            return {}
        kept = msgspec.json.decode(place.read_bytes(), type=_Kept)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return dict(kept.files) if kept.version == VERSION else {}


shared = Memo()
"""The process's one."""
