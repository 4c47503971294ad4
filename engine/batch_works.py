"""The seam between the host and the worker that answers many prompts together."""

from __future__ import annotations

import threading
from typing import Protocol

from engine.backend import ReplyResult, ReplySpec
from engine.protocol.errors import ErrorInfo


class BatchSink(Protocol):
    """Where answers go, each once, in the order in which they are done. Called from the batch thread."""

    cancelled: threading.Event
    """Checked each step; rows that are not done then are not told."""

    def done(self, place: int, result: ReplyResult | ErrorInfo) -> None: ...


class Batcher(Protocol):
    """Answers rows together. Its methods run in the batch thread, beside the model thread."""

    def takes(self, model: str) -> str:
        """Why a loaded model cannot answer rows together, in one sentence; empty when it can."""
        ...

    def run(self, specs: tuple[ReplySpec, ...], sink: BatchSink) -> None:
        """Answer all rows, which share model and adapter. A run of a chat's reply goes first at each step.

        A row's own fault goes to the sink. Raises EngineError `model_not_loaded`, `adapter_broken`.
        """
        ...

    def forget(self, serial: int) -> None:
        """A load is gone; let go of what stands on it. From the model thread."""
        ...
