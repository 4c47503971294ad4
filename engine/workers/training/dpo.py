"""Direct preference optimisation (arXiv 2305.18290): the chosen answer gains on the rejected one."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import logsigmoid

from engine.data.rows import PairRow
from engine.workers.training.labels import Labeller, Tally
from engine.workers.training.logprobs import answer_logprobs
from engine.workers.training.preference import Pair, both, judged, pair_metrics, pairs
from engine.workers.training.student import Student


class Dpo:
    """See engine.workers.training.objective.Objective; the sigmoid loss, the base as the reference."""

    def __init__(self, beta: float) -> None:
        self._beta = beta

    def examples(self, rows: Sequence[PairRow], labeller: Labeller, length: int) -> Tally:
        return pairs(rows, labeller, length)

    def weight(self, batch: Sequence[Pair]) -> int:
        return len(batch)

    def summed(self, student: Student, batch: Sequence[Pair]) -> tuple[Tensor, dict[str, float]]:
        ids, labels = (part.to(student.device) for part in both(batch))
        before = judged(student, ids, labels)
        rewards = self._beta * (answer_logprobs(student.network, ids, labels) - before)
        chosen, rejected = rewards.chunk(2)
        return -logsigmoid(chosen - rejected).sum(), pair_metrics(chosen.detach(), rejected.detach())
