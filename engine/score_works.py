"""The seam between the host and the worker that says how likely given answers are; free of torch."""

from __future__ import annotations

import threading
from typing import Protocol

import msgspec

from engine.data.rows import Said
from engine.protocol.errors import ErrorInfo
from engine.protocol.runs import AdapterInfo
from engine.protocol.specs import ModelInfo


class Scored(msgspec.Struct, frozen=True):
    """How likely one answer is."""

    nll: float
    """Minus its log-probability in nats, its end included."""
    tokens: int


class ScoreRow(msgspec.Struct, frozen=True):
    """Answers to one prompt; with no prompt they are plain texts."""

    prompt: tuple[Said, ...]
    answers: tuple[str, ...]


class ScoreSpec(msgspec.Struct, frozen=True):
    """What to score, on a loaded model."""

    model: ModelInfo
    rows: tuple[ScoreRow, ...]
    adapters: tuple[tuple[AdapterInfo, float], ...] = ()


class ScoreSink(Protocol):
    """Where scores go, row by row. Called from the scoring thread."""

    cancelled: threading.Event
    """Checked between two forwards."""

    def scored(self, place: int, answers: tuple[Scored, ...] | ErrorInfo) -> None:
        """All answers of one row, in its order; or why it has no score."""
        ...


class Scorer(Protocol):
    """Its methods run in the scoring thread, beside the model thread."""

    def score(self, spec: ScoreSpec, sink: ScoreSink) -> None:
        """Score all rows; the chat goes first. Raises EngineError `model_not_loaded`, `adapter_broken`."""
        ...

    def forget(self, serial: int) -> None:
        """A load is gone; let go of what stands on it. From the model thread."""
        ...
