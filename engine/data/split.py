"""Which rows are held out for evaluation: by seed, and never what is learnt too."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from engine.data.check import prompt_hash, row_hash
from engine.data.rows import AnyRow

T = TypeVar("T")


def split(rows: Sequence[T], fraction: float, seed: int) -> tuple[list[T], list[T]]:
    """(train, eval), each in the order of the file; at least one on each side unless fraction is 0."""
    held = set(_picked([1] * len(rows), fraction, seed))
    return _parted(rows, [place in held for place in range(len(rows))])


def split_rows(rows: Sequence[AnyRow], fraction: float, seed: int) -> tuple[list[AnyRow], list[AnyRow]]:
    """The same for rows of a dataset, of which those with one prompt stay on one side.

    Where all ask the same, only rows that are the same stay together; where all are the same, none is held
    out. Rows that are all different are split as `split` does.
    """
    groups = _grouped(rows, prompt_hash)
    if len(groups) < 2:
        groups = _grouped(rows, row_hash)
    if len(groups) < 2:
        return list(rows), []
    held = {place for group in _picked(list(map(len, groups)), fraction, seed) for place in groups[group]}
    return _parted(rows, [place in held for place in range(len(rows))])


def _picked(sizes: Sequence[int], fraction: float, seed: int) -> list[int]:
    """Places of the groups that are held out, together about that share of all."""
    total = sum(sizes)
    count = min(max(round(total * fraction), 1), total - 1) if fraction > 0 else 0
    draw = random.Random(seed)
    if total == len(sizes):
        return draw.sample(range(total), count)
    picked: list[int] = []
    order = draw.sample(range(len(sizes)), len(sizes))
    for group in order if count else ():
        if sizes[group] <= count:
            picked.append(group)
            count -= sizes[group]
    return picked or ([min(order, key=lambda group: sizes[group])] if fraction > 0 else [])


def _grouped(rows: Sequence[AnyRow], key: Callable[[AnyRow], Hashable]) -> list[list[int]]:
    """Places of the rows by key, in the order of the first of each."""
    found: dict[Hashable, list[int]] = {}
    for place, row in enumerate(rows):
        found.setdefault(key(row), []).append(place)
    return list(found.values())


def _parted(rows: Sequence[T], held: Sequence[bool]) -> tuple[list[T], list[T]]:
    train = [row for row, out in zip(rows, held, strict=True) if not out]
    return train, [row for row, out in zip(rows, held, strict=True) if out]
