"""Cross entropy on what the assistant said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from engine.data.rows import Row
from engine.workers.training.batches import padded
from engine.workers.training.labels import Example, Labeller, Tally
from engine.workers.training.loss import summed_loss

if TYPE_CHECKING:  # it imports PEFT, which takes seconds, and who scores texts needs none
    from engine.workers.training.student import Student


class Supervised:
    """See engine.workers.training.objective.Objective."""

    def examples(self, rows: Sequence[Row], labeller: Labeller, length: int) -> Tally:
        return labeller.tally(rows, length)

    def weight(self, batch: Sequence[Example]) -> int:
        return sum(example.labelled for example in batch)

    def summed(self, student: Student, batch: Sequence[Example]) -> tuple[Tensor, dict[str, float]]:
        ids, labels = padded(batch)
        return summed_loss(student.network, ids.to(student.device), labels.to(student.device)), {}
