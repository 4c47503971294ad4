"""The nouns of training: runs, adapters, datasets. Plain data, no behaviour."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from engine.protocol.errors import ErrorInfo
from engine.protocol.training import Objective, TrainSpec

RunState = Literal["queued", "running", "paused", "done", "failed", "stopped"]
Phase = Literal[
    "waiting", "data", "load", "rehearsal", "first step", "train", "eval", "save", "sample", "paused", "end"
]
"""What a run is doing; each change is a mark on the time axis."""
ENDED_STATES: tuple[RunState, ...] = ("done", "failed", "stopped")


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
    epoch: float = 0.0
    """Times through the data at the step's end."""
    metrics: dict[str, float] = {}
    """Further numbers by name, e.g. reward margin and accuracy of a preference run."""
    wrong: str = ""
    """What of this step was NaN or infinite, e.g. `loss nan`: JSON has no such numbers, so they are None or 0
    here. The run stops on it."""


class PhaseMark(msgspec.Struct, frozen=True, omit_defaults=True):
    """A phase begins."""

    phase: Phase
    at: float
    step: int = 0
    memory: int = 0
    """Bytes resident when it begins."""
    peak: int = 0
    """Peak bytes resident of the phase before it."""


PauseMode = Literal["", "hold", "yield", "park"]
"""hold keeps all memory, yield moves the run's own to RAM so that the chat has the GPU, park leaves a
checkpoint on disk and lets go of all."""


class RunFinding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line about a run's health."""

    code: str
    """`overfit`, `dead_adapter`, `rate_too_high`, `loss_spike`, `stalled`, `not_learning`."""
    step: int
    title: str
    """One plain sentence."""
    key: str = ""
    """Action that is suggested, by its id in the action table, e.g. `run.stop`."""


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
    whole: str = ""
    """Id of the model that full fine-tuning made, once there is one."""
    data_hash: str = ""
    """SHA-256 of the dataset's bytes."""
    versions: dict[str, str] = {}
    """Of torch, transformers, peft and Qwill, as they ran."""
    error: ErrorInfo | None = None
    place: int = 0
    """In the queue, from 1; 0 when it does not wait there."""
    tags: tuple[str, ...] = ()
    note: str = ""
    epoch: float = 0.0
    tokens: int = 0
    """Trained on so far, padding left out."""
    best_eval: float | None = None
    best_step: int = 0
    grad_norm: float = 0.0
    rate: float = 0.0
    pause: PauseMode = ""
    """How a paused run holds its memory; "" when it is not paused."""
    tries: int = 0
    """Times that it was taken up again after the engine had died."""
    resumed: tuple[int, ...] = ()
    """Steps at which it was taken up again."""
    device: str = ""
    predicted: int = 0
    """Bytes that the estimate foretold at its highest, beside what was loaded already."""
    measured: int = 0
    """Bytes that it took at its highest, counted the same way."""
    adapter_bytes: int = 0
    forgetting: float | None = None
    """Loss on held-out general text after the run less before it, in nats a token."""
    findings: tuple[RunFinding, ...] = ()
    """What its health looks like; newest last."""
    idle: bool = False
    """Whether it waits until nobody chats."""
    rows: int = 0
    """Of its data that it learns from, those held out not counted; 0 until they are read."""
    left_out: int = 0
    """Answers that it does not learn from: longer than its length, or hidden by the model's template."""
    origin: str = ""
    """`HOST/RUN` where it was trained on another machine and brought here."""

    @property
    def took(self) -> float:
        """Seconds from start to end, 0 before; never less, though somebody may have set the clock back."""
        return max(0.0, self.ended - self.started) if self.ended and self.started else 0.0


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
    form: str = ""
    """How the rows are written: `messages`, `prompt and answer`, `alpaca`, `sharegpt`, `preference`, `kto`,
    `text`; empty where no row was understood."""
    kind: str = ""
    """What they teach: `chats`, `texts`, `pairs` or `votes`."""
    file: str = ""
    """`jsonl`, `json`, `csv`, `tsv`, `parquet` or `txt`."""
    objectives: tuple[Objective, ...] = ()
    """What can be learnt from them."""
    keys: tuple[str, ...] = ()
    """Names of the columns in the first row, for mapping by hand."""
    bad: int = 0
    """Rows that cannot be used."""
    repeated: int = 0
    empty: int = 0
    """Of `bad`: rows whose question or answer is empty."""
    secrets: int = 0
    """Rows with what looks like a key or a password."""
    leaks: int = 0
    """Rows whose prompt is in the evaluation data too."""
    held: int = 0
    """Usable rows of the evaluation data."""
    good: int = 0
    """Of `votes`: how many are good ones."""
    lengths: Spread | None = None
    """Characters of a row."""
    tokens: Spread | None = None
    """Tokens of an example, where a model was named."""
    examples: int = 0
    """Answers that a run would learn from, where a model was named."""
    too_long: int = 0
    """Examples left out because they are longer than the run's length."""
    unmatched: int = 0
    """Examples left out because the model's template hides the answer."""
    labelled: int = 0
    """Tokens that carry loss."""
    unstopped: int = 0
    """Examples whose stop token carries no loss."""


class Spread(msgspec.Struct, frozen=True):
    """How a number is spread over the rows."""

    quantiles: tuple[int, ...]
    """At 0, 25, 50, 75, 95 and 100 %."""
    edges: tuple[int, ...]
    """Of the histogram's bins: one more than there are bins; each bin includes its lower edge."""
    counts: tuple[int, ...]
    total: int


class Dataset(msgspec.Struct, frozen=True):
    """A dataset that comes with Qwill."""

    id: str
    """`shipped:NAME`"""
    title: str
    about: str
    rows: int


class FitChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """A change of the spec that needs less memory, and what it costs."""

    title: str
    """What it is, saves and costs, in one line: `batch 2 × 4 instead of 4 × 2: 1.2 G less, as long`."""
    changes: dict[str, Any] = {}
    """By the names of TrainSpec."""
    need: int = 0
    """Bytes that the run takes with it beside what is loaded already."""


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
    changes: tuple[FitChange, ...] = ()
    """Where it does not fit: at most three, the cheapest first."""
    need: int = 0
    """Bytes at the highest of training and evaluation, beside what is loaded, as this machine taught."""
    eval_need: int = 0
    """The same at the longest batch of an evaluation."""
    recomputed: int = 0
    """Layers of `layers` whose activations are computed again in backward, so that it fits."""
    layers: int = 0
    reserve: int = 0
    """Of `free`, bytes that are left to others."""
    error: float = 0.0
    """How far this machine's runs were off the estimate, as a share, over `count` of them."""
    count: int = 0
    left_out: int = 0
    """Answers that would not be learnt: longer than the length, or hidden by the model's template."""
