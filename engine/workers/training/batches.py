"""Batches of like length, in an order that one seed fixes for the whole run."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from engine.workers.training import labels as marked
from engine.workers.training.labels import IGNORED

if TYPE_CHECKING:
    from engine.workers.training.objective import Example

E = TypeVar("E", bound="Example")

WINDOW = 16
"""Batches that are sorted by length together: enough to save padding, few enough to stay random."""


def epochs(examples: Sequence[E], batch: int, seed: int) -> Iterator[list[E]]:
    """Endless batches; every example once an epoch."""
    generator = random.Random(seed)
    while True:
        order = list(range(len(examples)))
        generator.shuffle(order)
        batches = list(_bucketed(order, examples, batch))
        generator.shuffle(batches)
        for places in batches:
            yield [examples[place] for place in places]


def _bucketed(order: list[int], examples: Sequence[E], batch: int) -> Iterator[list[int]]:
    for start in range(0, len(order), batch * WINDOW):
        window = sorted(order[start : start + batch * WINDOW], key=lambda place: examples[place].longest)
        for begin in range(0, len(window), batch):
            yield window[begin : begin + batch]


def in_order(examples: Sequence[E], batch: int) -> Iterator[list[E]]:
    """Once through, longest first, so that what does not fit fails at once."""
    ordered = sorted(examples, key=lambda example: -example.longest)
    for start in range(0, len(ordered), batch):
        yield ordered[start : start + batch]


def padded(batch: Sequence[marked.Example]) -> tuple[Tensor, Tensor]:
    """(ids, labels), both int64 [rows, longest], padded on the right with id 0 and label -100."""
    length = max(len(example.ids) for example in batch)
    ids = torch.zeros(len(batch), length, dtype=torch.long)
    labels = torch.full((len(batch), length), IGNORED)
    for row, example in enumerate(batch):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        labels[row, : len(example.labels)] = torch.tensor(example.labels)
    return ids, labels
