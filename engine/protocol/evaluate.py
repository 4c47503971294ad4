"""What a client can ask to be measured on held-out rows: a base and its adapters, side by side."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

import msgspec

from engine.protocol.command import Command, Done

Metric = Literal["exact", "perplexity", "choice"]
METRICS: tuple[Metric, ...] = get_args(Metric)


class Score(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one of those measured got."""

    who: str
    """Id of an adapter; empty is the base alone."""
    name: str
    rows: int
    """Those that count."""
    value: float | None
    """Share of right rows, 0 to 1; of `perplexity` that of the answers' tokens. None where no row counts."""
    error: float | None = None
    """Standard error of `value`; None for a single row."""
    seconds: float = 0.0
    tokens: int = 0
    """Answer tokens that were scored or generated."""


class Evaluation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One table: the same rows for all."""

    job: str
    model: str
    data: str
    metric: Metric
    scores: tuple[Score, ...]
    """The base first."""
    rows: int
    """Of the file, after the limit."""
    left_out: int = 0
    """Rows that the model's template, its context or the metric had no place for."""
    stopped: bool = False


class StartEvaluation(Command, frozen=True, tag=True):
    """Measure a model, and each adapter on it, on a file of rows; answers when all is done or stopped.

    EvaluationMoved tells how far it is. A client that leaves stops it. Nothing is stored.
    """

    Result: ClassVar[type] = Evaluation
    model: str
    data: str
    """As TrainSpec.data."""
    adapters: tuple[str, ...] = ()
    metric: Metric | Literal[""] = ""
    """Empty: `choice` for rows with choices, `perplexity` for texts, else `exact`."""
    limit: int = 0
    """Rows at most; 0 is all."""
    tokens: int = 256
    """New tokens of an answer at most, of `exact`."""
    job: str = ""
    """Names it in events and for StopEvaluation; empty draws one."""
    evict: bool = False


class StopEvaluation(Command, frozen=True, tag=True):
    """End it; its command is answered with what is done."""

    Result: ClassVar[type] = Done
    job: str
