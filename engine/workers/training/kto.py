"""Kahneman-Tversky optimisation (arXiv 2402.01306): single answers, each good or bad."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.data.rows import VoteRow
from engine.workers.training.batches import padded
from engine.workers.training.labels import IGNORED, Example, Labeller, Tally
from engine.workers.training.logprobs import answer_logprobs
from engine.workers.training.preference import Verdict, judged, verdicts
from engine.workers.training.student import Student


class Kto:
    """See engine.workers.training.objective.Objective; good and bad answers weigh the same.

    The distance to the base is estimated from the micro-batch's own prompts, each with its neighbour's
    answer, as TRL does. A micro-batch of one row has no neighbour; there it is taken as 0.
    """

    def __init__(self, beta: float) -> None:
        self._beta = beta

    def examples(self, rows: Sequence[VoteRow], labeller: Labeller, length: int) -> Tally:
        return verdicts(rows, labeller, length)

    def weight(self, batch: Sequence[Verdict]) -> int:
        return len(batch)

    def summed(self, student: Student, batch: Sequence[Verdict]) -> tuple[Tensor, dict[str, float]]:
        ids, labels = (part.to(student.device) for part in padded([each.answer for each in batch]))
        distance = self._distance(student, batch)
        before = judged(student, ids, labels)
        ratios = answer_logprobs(student.network, ids, labels) - before
        good = torch.tensor([each.good for each in batch], device=ratios.device)
        gain = torch.where(good, ratios - distance, distance - ratios)
        losses = 1 - torch.sigmoid(self._beta * gain)
        return losses.sum(), self._metrics(ratios.detach(), good, distance)

    def _distance(self, student: Student, batch: Sequence[Verdict]) -> Tensor:
        """Mean log-ratio of the mismatched rows, at least 0; a scalar without a gradient."""
        if len(batch) < 2:
            return torch.zeros((), device=student.device)
        ids, labels = (part.to(student.device) for part in padded(mismatched(batch)))
        with torch.no_grad():
            now = answer_logprobs(student.network, ids, labels)
        return (now - judged(student, ids, labels)).mean().clamp(min=0)

    def _metrics(self, ratios: Tensor, good: Tensor, distance: Tensor) -> dict[str, float]:
        """Summed over the rows as the loss is; a mean over some rows counts for all of them."""
        rows, rewards = len(good), self._beta * ratios
        metrics = {"kl": float(distance) * rows}
        if bool(good.any()):
            metrics["reward_chosen"] = float(rewards[good].mean()) * rows
        if not bool(good.all()):
            metrics["reward_rejected"] = float(rewards[~good].mean()) * rows
        if len(metrics) == 3:
            metrics["reward_margin"] = metrics["reward_chosen"] - metrics["reward_rejected"]
        metrics["reward_accuracy"] = float(((rewards > 0) == good).sum())
        return metrics


def mismatched(batch: Sequence[Verdict]) -> list[Example]:
    """Each prompt with the answer of the row before it, the first with the last one's."""
    rows = [each.answer for each in batch]
    return [_joined(row, other) for row, other in zip(rows, [rows[-1], *rows[:-1]], strict=True)]


def _joined(prompt: Example, answer: Example) -> Example:
    before = prompt.ids[: _answer_at(prompt)]
    ids = answer.ids[_answer_at(answer) :]
    return Example(before + ids, [IGNORED] * len(before) + ids)


def _answer_at(example: Example) -> int:
    return next(place for place, label in enumerate(example.labels) if label != IGNORED)
