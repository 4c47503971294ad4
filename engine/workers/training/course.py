"""Where a run stands: what its next step depends on beside the weights and the optimiser's moments."""

from __future__ import annotations

import msgspec

from engine.protocol.training import Schedule


class Course(msgspec.Struct):
    """Written to each checkpoint as `state.json`."""

    steps: int
    """Optimiser steps of the whole run."""
    unit: int
    """Rows of a batch that the order of the data is made of. A run that goes on with a smaller `batch` splits
    these, so that each step still sees the rows that it would have seen."""
    units: int
    """Of these batches in one optimiser step."""
    examples: int
    seed: int
    rate: float
    schedule: Schedule
    warmup: float
    step: int = 0
    """The last one that was taken."""
    epoch: int = 0
    place: int = 0
    """Batches taken of this epoch."""
    seen: int = 0
    """Examples in them."""
    loss: float | None = None
    eval_loss: float | None = None
    """Of the last evaluation."""
    evals: list[tuple[int, float]] = []
    """(step, loss) of every evaluation."""
    best_step: int = 0
    best_eval: float | None = None
    worse: int = 0
    """Evaluations since the best one."""
    early: bool = False
    """Whether it ended because evaluations grew no better."""

    def evaluated(self, loss: float) -> bool:
        """Note an evaluation at the present step; returns whether it is the best so far.

        The one before the first step is for comparison: no weights of the run stand behind it.
        """
        self.evals.append((self.step, loss))
        self.eval_loss = loss
        if self.step == 0:
            return False
        if self.best_eval is None or loss < self.best_eval:
            self.best_step, self.best_eval, self.worse = self.step, loss, 0
            return True
        self.worse += 1
        return False

    @property
    def evaluated_now(self) -> float | None:
        """Loss of an evaluation at the present step; None where there was none."""
        return self.evals[-1][1] if self.evals and self.evals[-1][0] == self.step else None
