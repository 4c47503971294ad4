"""What a run learns and what it is tested on: rows, tokenised and split."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
from msgspec.structs import replace

from engine.data.load import rows_for
from engine.data.place import data_path
from engine.data.split import split
from engine.protocol.training import TrainSpec
from engine.workers.training.labels import Labeller
from engine.workers.training.objective import Example, Objective


class Lesson(msgspec.Struct, frozen=True):
    """Examples to learn from and examples held out; no row is in both."""

    train: list[Example]
    held: list[Example]
    left_out: int

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
        asked = replace(spec, limit=0, eval_fraction=0.0)
        learnt, held = rows, rows_for(asked, data_path(spec.eval_data))
    else:
        # Runs of a group are compared by their losses on the same rows, whatever their seeds are.
        learnt, held = split(rows, spec.eval_fraction, 0 if spec.group else spec.seed)
    train = objective.examples(learnt, labeller, spec.length)
    tested = objective.examples(held, labeller, spec.length) if held else None
    left_out = train.too_long + train.unmatched
    return Lesson(train.examples, tested.examples if tested else [], left_out)


def step_count(spec: TrainSpec, examples: int) -> int:
    """Optimiser steps of a run over so many examples."""
    batches = math.ceil(examples / spec.batch)
    return spec.steps or max(1, math.ceil(spec.epochs * batches / spec.accumulate))
