"""Batches of like length, in an order that seed, epoch and place fix: a run can go on at any of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from torch import Tensor

from engine.workers.training import labels as marked
from engine.workers.training.labels import IGNORED

if TYPE_CHECKING:
    from engine.workers.training.objective import Example

E = TypeVar("E", bound="Example")

WINDOW = 16
"""Batches that are sorted by length together: enough to save padding, few enough to stay random."""


def order(lengths: Sequence[int], batch: int, seed: int, epoch: int) -> list[list[int]]:
    """One epoch's batches, as places in `lengths`; every place is in one of them.

    A generator of its own for each epoch: what other epochs drew plays no part.
    """
    generator = random.Random(f"{seed} {epoch}")
    places = list(range(len(lengths)))
    generator.shuffle(places)
    batches: list[list[int]] = []
    for start in range(0, len(places), batch * WINDOW):
        window = sorted(places[start : start + batch * WINDOW], key=lambda place: lengths[place])
        batches += [window[begin : begin + batch] for begin in range(0, len(window), batch)]
    generator.shuffle(batches)
    return batches


class Feed(Generic[E]):
    """Endless batches; `epoch`, `place` and `seen` say where it stands, and where it goes on."""

    def __init__(
        self, examples: Sequence[E], batch: int, seed: int, epoch: int = 0, place: int = 0, seen: int = 0
    ) -> None:
        """`place`: batches taken of this epoch, `seen`: examples in them."""
        self._examples = examples
        self._lengths = [example.longest for example in examples]
        self._batch = batch
        self._seed = seed
        self.epoch, self.place, self.seen = epoch, place, seen
        self._order = order(self._lengths, batch, seed, epoch)

    @property
    def epochs(self) -> float:
        """Times through the data so far."""
        return self.epoch + self.seen / len(self._examples)

    def take(self) -> list[E]:
        """The next batch."""
        if self.place >= len(self._order):
            self.epoch, self.place, self.seen = self.epoch + 1, 0, 0
            self._order = order(self._lengths, self._batch, self._seed, self.epoch)
        places = self._order[self.place]
        self.place += 1
        self.seen += len(places)
        return [self._examples[place] for place in places]


def pieces(batch: Sequence[E], size: int) -> Iterator[Sequence[E]]:
    """A batch in parts of at most `size`."""
    for start in range(0, len(batch), size):
        yield batch[start : start + size]


def in_order(examples: Sequence[E], batch: int) -> Iterator[Sequence[E]]:
    """Once through, longest first, so that what does not fit fails at once."""
    return pieces(sorted(examples, key=lambda example: -example.longest), batch)


def padded(batch: Sequence[marked.Example]) -> tuple[Tensor, Tensor]:
    """(ids, labels), both int64 [rows, longest], padded on the right with id 0 and label -100.

    What is padding is known by each row's length; an id never says it: many tokenizers pad with
    the stop token.
    """
    length = max(len(example.ids) for example in batch)
    ids = torch.zeros(len(batch), length, dtype=torch.long)
    labels = torch.full((len(batch), length), IGNORED)
    for row, example in enumerate(batch):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        labels[row, : len(example.labels)] = torch.tensor(example.labels)
    return ids, labels
