"""Direct preference optimisation (arXiv 2305.18290): the chosen answer gains on the rejected one."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import logsigmoid

from engine.workers.training.logprobs import answer_logprobs
from engine.workers.training.preference import Pair, PairObjective, both, judged, pair_metrics
from engine.workers.training.student import Student


class Dpo(PairObjective):
    """See engine.workers.training.objective.Objective; the sigmoid loss, the base as the reference."""

    def summed(self, student: Student, batch: Sequence[Pair]) -> tuple[Tensor, dict[str, float]]:
        ids, labels = (part.to(student.device) for part in both(batch))
        before = judged(student, ids, labels)
        rewards = self._beta * (answer_logprobs(student.network, ids, labels) - before)
        chosen, rejected = rewards.chunk(2)
        return -logsigmoid(chosen - rejected).sum(), pair_metrics(chosen.detach(), rejected.detach())
