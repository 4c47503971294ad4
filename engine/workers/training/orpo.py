"""Odds ratio preference optimisation (arXiv 2403.07691): likelihood of the chosen answer plus its odds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from engine.workers.training.logprobs import by_row, token_logprobs
from engine.workers.training.preference import Pair, PairObjective, both, pair_metrics
from engine.workers.training.student import Student

SURE = 1e-6
"""Minus the mean log-probability from which on an answer counts as certain."""


class Orpo(PairObjective):
    """See engine.workers.training.objective.Objective; needs no reference.

    As TRL has it, the likelihood is that of prompt and chosen answer, the mean over a micro-batch's tokens.
    """

    def summed(self, student: Student, batch: Sequence[Pair]) -> tuple[Tensor, dict[str, float]]:
        ids, labels = both(batch)
        wanted = labels.clone()
        for row, pair in enumerate(batch):  # the prompt of the chosen answer is learnt too
            wanted[row, : pair.chosen.tokens] = ids[row, : pair.chosen.tokens]
        ids, labels, wanted = (part.to(student.device) for part in (ids, labels, wanted))
        found, places = token_logprobs(student.network, ids, wanted)
        likelihood = -found[places[:, 0] < len(batch)].mean() * len(batch)
        answers = labels[places[:, 0], places[:, 1]] != -100
        lengths = (labels[:, 1:] != -100).sum(dim=1)
        means = by_row(found[answers], places[answers], len(ids)) / lengths
        chosen, rejected = means.chunk(2)
        odds = (chosen - rejected) - (_log1mexp(chosen) - _log1mexp(rejected))
        metrics = pair_metrics(self._beta * chosen.detach(), self._beta * rejected.detach())
        metrics["likelihood_loss"] = float(likelihood.detach())
        return likelihood - self._beta * logsigmoid(odds).sum(), metrics


def _log1mexp(x: Tensor) -> Tensor:
    """log(1 - exp(x)) of x < 0, without cancellation on either side of -ln 2.

    An answer that is known by heart has an x that rounds to 0, whose slope would be no number.
    """
    x = x.clamp(max=-SURE)
    return torch.where(x < -math.log(2), torch.log1p(-torch.exp(x)), torch.log(-torch.expm1(x)))
