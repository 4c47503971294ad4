"""What a run learns and what it is tested on: rows, tokenised and split."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from engine.data.load import held_rows, rows_for
from engine.data.split import split_rows
from engine.protocol.training import TrainSpec
from engine.workers.training.labels import Labeller
from engine.workers.training.objective import Example, Objective

PASSES = 3
"""Times through the data where nobody said it, ..."""
ENOUGH_STEPS = 100
"""... and more often until there are so many steps, ..."""
MOST_PASSES = 15
"""... but no more often than this."""


class Lesson(msgspec.Struct, frozen=True):
    """Examples to learn from and examples held out; no prompt is in both."""

    train: list[Example]
    held: list[Example]
    left_out: int
    """Answers that are longer than the run's length, or that the template hides."""
    rows: int = 0
    """Rows of the data that the examples to learn from were made of."""

    @property
    def tokens(self) -> int:
        return sum(example.tokens for example in self.train)

    @property
    def labelled(self) -> int:
        return sum(example.labelled for example in self.train)

    @property
    def longest(self) -> int:
        """Tokens of the longest example, of training and evaluation."""
        return max(example.longest for example in self.train + self.held)


def prepare(spec: TrainSpec, data: Path, labeller: Labeller, objective: Objective) -> Lesson:
    """Tokenise and split by rows. Raises EngineError with the reason when nothing can be learnt."""
    rows = rows_for(spec, data)
    if spec.eval_data:
        learnt, held = rows, held_rows(spec)
    else:
        # Runs of a group are compared by their losses on the same rows, whatever their seeds are.
        learnt, held = split_rows(rows, spec.eval_fraction, 0 if spec.group else spec.seed)
    train = objective.examples(learnt, labeller, spec.length)
    tested = objective.examples(held, labeller, spec.length) if held else None
    left_out = train.too_long + train.unmatched
    return Lesson(train.examples, tested.examples if tested else [], left_out, len(learnt))


def step_count(spec: TrainSpec, examples: int) -> int:
    """Optimiser steps of a run over so many examples."""
    batches = math.ceil(examples / spec.batch)
    passes = spec.epochs or _passes(spec, batches)
    return spec.steps or max(1, math.ceil(passes * batches / spec.accumulate))


def _passes(spec: TrainSpec, batches: int) -> float:
    """Times through the data where nobody said it: few rows are seen more often, until they are learnt.

    Preferences are not: seen often, they push an answer out of the language.
    """
    if spec.objective not in ("chat", "text"):
        return PASSES
    return min(MOST_PASSES, max(PASSES, math.ceil(ENOUGH_STEPS * spec.accumulate / max(1, batches))))
