"""What the preference objectives share: pairs and votes as token ids, the base's judgement, their numbers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import torch
from torch import Tensor

from engine.data.rows import PairRow, VoteRow
from engine.protocol.errors import fault
from engine.workers.training.batches import padded
from engine.workers.training.labels import Example, Labeller, Tally
from engine.workers.training.logprobs import answer_logprobs
from engine.workers.training.student import Student


class Pair(msgspec.Struct, frozen=True):
    """Two answers to one prompt; labels stand on the answers."""

    chosen: Example
    rejected: Example

    @property
    def tokens(self) -> int:
        return self.chosen.tokens + self.rejected.tokens

    @property
    def labelled(self) -> int:
        return self.chosen.labelled + self.rejected.labelled

    @property
    def longest(self) -> int:
        return max(self.chosen.longest, self.rejected.longest)


class Verdict(msgspec.Struct, frozen=True):
    """One answer and whether it is a good one."""

    answer: Example
    good: bool

    @property
    def tokens(self) -> int:
        return self.answer.tokens

    @property
    def labelled(self) -> int:
        return self.answer.labelled

    @property
    def longest(self) -> int:
        return self.answer.longest


class PairObjective:
    """The part of an objective (engine.workers.training.objective.Objective) that all of pairs have."""

    def __init__(self, beta: float) -> None:
        self._beta = beta

    def examples(self, rows: Sequence[PairRow], labeller: Labeller, length: int) -> Tally:
        return pairs(rows, labeller, length)

    def weight(self, batch: Sequence[Pair]) -> int:
        return len(batch)


def pairs(rows: Sequence[PairRow], labeller: Labeller, length: int) -> Tally:
    """Both answers rendered and labelled. Raises EngineError `no_labels` when no pair is left."""
    tally = Tally([])
    for row in rows:
        chosen = labeller.example((*row.prompt, row.chosen))
        rejected = labeller.example((*row.prompt, row.rejected))
        _add(tally, None if chosen is None or rejected is None else Pair(chosen, rejected), length)
    return _something(tally, "pair", length)


def verdicts(rows: Sequence[VoteRow], labeller: Labeller, length: int) -> Tally:
    """The answers rendered and labelled. Raises EngineError `no_labels` when none is left."""
    tally = Tally([])
    for row in rows:
        answer = labeller.example(row.messages)
        _add(tally, None if answer is None else Verdict(answer, row.good), length)
    return _something(tally, "answer", length)


def both(batch: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    """(ids, labels) of all chosen answers, then all rejected ones: int64 [2 x pairs, longest]."""
    return padded([pair.chosen for pair in batch] + [pair.rejected for pair in batch])


def judged(student: Student, ids: Tensor, labels: Tensor) -> Tensor:
    """How likely the base held each answer before the run, in nats: float32 [rows], no gradient."""
    with torch.no_grad(), student.reference():
        return answer_logprobs(student.network, ids, labels)


def pair_metrics(chosen: Tensor, rejected: Tensor) -> dict[str, float]:
    """Sums over pairs of the rewards, their margin, and how often the chosen answer has the higher one."""
    return {
        "reward_chosen": float(chosen.sum()),
        "reward_rejected": float(rejected.sum()),
        "reward_margin": float((chosen - rejected).sum()),
        "reward_accuracy": float((chosen > rejected).sum()),
    }


def _add(tally: Tally, example: Pair | Verdict | None, length: int) -> None:
    if example is None:
        tally.unmatched += 1
    elif example.longest > length:
        tally.too_long += 1
    else:
        tally.examples.append(example)


def _something(tally: Tally, noun: str, length: int) -> Tally:
    if tally.examples:
        return tally
    if tally.too_long:
        raise fault(
            "no_labels",
            f"Every {noun} is longer than {length} tokens, so nothing is left to learn",
            remedy="Raise `length`, or shorten the rows",
        )
    raise fault(
        "no_labels",
        f"The model's chat template leaves every {noun} out, so there is nothing to learn from",
        remedy="Choose a chat model as the base, or check its chat_template",
    )
