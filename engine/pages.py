"""Answers that come in pages: as much of a list as fits on one line of the protocol."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec

T = TypeVar("T")
ROOM = 700_000
"""Bytes of a page at most; what stands around it has the rest of the line."""


def fitting(items: Iterable[T]) -> tuple[T, ...]:
    """As many of the first ones as fit, at least one."""
    kept: list[T] = []
    room = ROOM
    for item in items:
        room -= len(msgspec.json.encode(item))
        if room < 0 and kept:
            break
        kept.append(item)
    return tuple(kept)


def newest(items: Sequence[T]) -> tuple[T, ...]:
    """As many of the last ones as fit, at least one, in their order."""
    return fitting(reversed(items))[::-1]
