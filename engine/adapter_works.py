"""The seam between the host and the worker that proves, weighs and exports adapters; free of torch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

import msgspec

from engine.protocol.adapters import Check, Exported, ExportForm, GgufType, Proof
from engine.protocol.runs import AdapterInfo
from engine.protocol.specs import ModelInfo

Progress = Callable[[float, str], None]
"""How far it is, 0 to 1, and what it is at."""


class ProofSpec(msgspec.Struct, frozen=True):
    """What to prove, on a loaded model."""

    model: ModelInfo
    adapter: AdapterInfo
    weight: float
    prompt: str = ""


class Place(msgspec.Struct, frozen=True):
    """The likeliest tokens at one position, likeliest first, with their log-probabilities in nats."""

    top: tuple[tuple[int, float], ...]


class Reference(msgspec.Struct, frozen=True):
    """What the live model with the adapter says to a fixed set of prompts, greedily."""

    ids: tuple[tuple[int, ...], ...]
    """Prompt and reply of each."""
    starts: tuple[int, ...]
    """Tokens of each prompt: `places[n][0]` is what follows them."""
    places: tuple[tuple[Place, ...], ...]
    effect: float
    """Largest difference of a log-probability between the base and the base with the adapter."""
    counts: tuple[tuple[str, int], ...]
    """Texts, and how many tokens the model's tokenizer makes of each."""
    letter: int
    """A token that is a whole character."""
    dtype: str
    """That the live model computes in."""
    quant: str = ""


class ExportJob(msgspec.Struct, frozen=True):
    """One export as the worker gets it."""

    id: str
    form: ExportForm
    adapter: AdapterInfo
    model: ModelInfo
    target: str
    """Absolute, or empty where nothing is to be written."""
    weight: float
    gguf: GgufType
    name: str
    replace: bool


class Written(msgspec.Struct, frozen=True):
    """What was written beside the target, not in its place yet."""

    path: str
    """A folder of our own; empty where nothing was."""
    notes: tuple[str, ...] = ()


class AdapterWorks(Protocol):
    """Raises EngineError for every foreseeable fault, `cancelled` among them."""

    def prove(self, spec: ProofSpec, cancelled: threading.Event) -> Proof:
        """Runs in the model thread."""
        ...

    def reference(self, spec: ProofSpec, cancelled: threading.Event) -> Reference:
        """Runs in the model thread."""
        ...

    def write(self, job: ExportJob, progress: Progress, cancelled: threading.Event) -> Written:
        """Runs in the export thread, from the files on disk alone."""
        ...

    def check_live(self, job: ExportJob, written: Written, reference: Reference) -> Check:
        """Of an adapter's copy, on the live model. Runs in the model thread."""
        ...

    def check(
        self,
        job: ExportJob,
        written: Written,
        reference: Reference,
        progress: Progress,
        cancelled: threading.Event,
    ) -> Check:
        """Of everything else, loaded anew. Runs in the export thread."""
        ...

    def finish(self, job: ExportJob, written: Written, check: Check) -> Exported:
        """Write the card and put it in its place. Runs in the export thread."""
        ...

    def drop(self, written: Written) -> None:
        """Remove what was written and is not wanted. Never raises."""
        ...
