"""Which rows are held out for evaluation: by seed, and never both."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def split(rows: Sequence[T], fraction: float, seed: int) -> tuple[list[T], list[T]]:
    """(train, eval), each in the order of the file; at least one on each side unless fraction is 0."""
    count = min(max(round(len(rows) * fraction), 1), len(rows) - 1) if fraction > 0 else 0
    held = set(random.Random(seed).sample(range(len(rows)), count))
    train = [row for place, row in enumerate(rows) if place not in held]
    return train, [rows[place] for place in sorted(held)]
