"""The nouns of training: specs, runs, adapters, datasets. Plain data, no behaviour."""

from __future__ import annotations

from typing import Literal

import msgspec

from engine.protocol.errors import ErrorInfo

Method = Literal["lora"]
RunState = Literal["queued", "running", "paused", "done", "failed", "stopped"]
Phase = Literal["waiting", "data", "load", "first step", "train", "eval", "save", "end"]
"""What a run is doing; each change is a mark on the time axis."""
ENDED_STATES: tuple[RunState, ...] = ("done", "failed", "stopped")


class TrainSpec(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One adapter run, as `run.toml` writes it. 0 means: chosen from the data and the model."""

    model: str
    """Id of the base."""
    data: str
    """Path of a JSONL file of messages, or `shipped:NAME` for a dataset that comes with Qwill."""
    name: str = ""
    method: Method = "lora"
    rank: int = 16
    alpha: int = 0
    """Scale is alpha / rank; 0 takes twice the rank."""
    dropout: float = 0.0
    targets: Literal["attention", "mlp", "attention+mlp"] = "attention+mlp"
    steps: int = 0
    """Optimiser steps; 0 counts them from `epochs`."""
    epochs: float = 3.0
    batch: int = 4
    """Rows of a micro-batch."""
    accumulate: int = 1
    """Micro-batches of one optimiser step."""
    length: int = 1024
    """Tokens of a row at most; a longer row is left out, never cut in silence."""
    rate: float = 0.0
    """Peak learning rate; 0 picks by the model's size."""
    warmup: float = 0.05
    """Share of the steps over which the rate rises from 0."""
    weight_decay: float = 0.0
    clip: float = 1.0
    """Largest gradient norm."""
    eval_fraction: float = 0.05
    """Share of the rows held out for evaluation."""
    eval_every: int = 0
    """Steps between evaluations; 0 takes a tenth of the run."""
    seed: int = 0


class StepPoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """One optimiser step, as it stands in the run's event log."""

    step: int
    loss: float | None = None
    """Mean cross entropy in nats a labelled token; None on an evaluation's line."""
    eval_loss: float | None = None
    rate: float = 0.0
    grad_norm: float = 0.0
    tokens: int = 0
    """Of this step, padding left out."""
    labelled: int = 0
    seconds: float = 0.0
    at: float = 0.0
    """Unix time in seconds."""
    memory: int = 0
    """Bytes of the engine's resident memory at the step's end."""


class PhaseMark(msgspec.Struct, frozen=True, omit_defaults=True):
    """A phase begins."""

    phase: Phase
    at: float
    step: int = 0
    memory: int = 0
    """Bytes resident when it begins."""
    peak: int = 0
    """Peak bytes resident of the phase before it."""


class RunInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of the runs list."""

    id: str
    spec: TrainSpec
    name: str = ""
    state: RunState = "queued"
    phase: Phase = "waiting"
    step: int = 0
    steps: int = 0
    loss: float | None = None
    eval_loss: float | None = None
    eta_s: float | None = None
    """Seconds left at the present speed."""
    tokens_per_s: float = 0.0
    created: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    peak: int = 0
    """Peak bytes resident over the run."""
    adapter: str = ""
    """Id of the adapter it made, once there is one."""
    data_hash: str = ""
    """SHA-256 of the dataset's bytes."""
    versions: dict[str, str] = {}
    """Of torch, transformers, peft and Qwill, as they ran."""
    error: ErrorInfo | None = None


class AdapterInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One PEFT folder."""

    id: str
    """The run's id, or an absolute folder path."""
    name: str
    path: str
    base: str = ""
    """Id of a known model whose fingerprint matches; empty when none does."""
    base_name: str = ""
    """What the adapter itself says its base is."""
    method: str = "lora"
    rank: int = 0
    bytes_on_disk: int = 0
    created: float = 0.0
    version: str = ""
    """Changes when the weights change: a cached prefix is valid for one version."""
    loss: float | None = None
    why: str = ""
    """One sentence when it can't be used."""
    unverified: str = ""
    """One sentence when its base was told by name or by shapes alone, not by the weights themselves."""
    also: tuple[str, ...] = ()
    """Ids of further models whose shapes it fits; none where the base is known by its weights."""

    def fits(self, model: str) -> bool:
        """Whether it can be activated on the model of this id."""
        return bool(model) and not self.why and (self.base == model or model in self.also)


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong with one row of a dataset."""

    line: int
    """1-based."""
    key: str
    """Where in the row, e.g. `messages[1].role`."""
    what: str
    fatal: bool = True
    """False: the row is used all the same."""


class DatasetReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a check of a dataset found."""

    path: str
    rows: int = 0
    """Usable ones."""
    problems: tuple[Problem, ...] = ()
    """The first hundred."""
    problem_count: int = 0
    turns: int = 0
    characters: int = 0
    labelled_characters: int = 0
    """In assistant messages."""
    longest: int = 0
    """Characters of the longest row."""
    sha256: str = ""
    first: str = ""
    """The first question, for a preview."""


class Dataset(msgspec.Struct, frozen=True):
    """A dataset that comes with Qwill."""

    id: str
    """`shipped:NAME`"""
    title: str
    about: str
    rows: int


class Estimate(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run would take on this machine, before it starts."""

    rows: int
    steps: int
    tokens: int = 0
    labelled: int = 0
    seconds: float | None = None
    """None until something was measured here."""
    parts: dict[str, int] = {}
    """Bytes by part: base, adapter, optimiser, activations, head and loss."""
    shared: int = 0
    """Of these, bytes that the loaded chat model holds already."""
    free: int = 0
    """Bytes available now."""
    fits: bool = True
