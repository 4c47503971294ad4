"""What a model takes in memory and whether there is room: the shape of a model, and an estimate of it."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from engine.protocol.command import Command

Verdict = Literal["fits", "tight", "alone", "no", "unknown"]
"""Fits; only by using what is kept free; only once other models are unloaded; does not; cannot be told."""


class Shape(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Layers and widths of the language part. Counts of values, no bytes."""

    layers: int
    hidden: int
    intermediate: int
    """Width of the MLP; with experts, of all that one token uses."""
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool = False
    """Whether the input embedding is the head, too."""
    sliding_layers: int = 0
    """Of `layers`: those that see only the last `window` tokens."""
    window: int = 0
    linear_layers: int = 0
    """Of `layers`: those with a state of fixed size instead of keys and values."""
    state: int = 0
    """Values of one linear layer's recurrent state, kept in float32."""
    conv: int = 0
    """Values of one linear layer's convolution state, kept in the model's dtype."""

    @property
    def embedding(self) -> int:
        """Parameters of the input embedding; of the head as well."""
        return self.vocabulary * self.hidden


class Parts(msgspec.Struct, frozen=True):
    """Bytes of a loaded model, by what they are for."""

    weights: int
    cache: int
    working: int
    """While a chunk of a prompt passes through."""
    overhead: int

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.working + self.overhead


class FitRules(msgspec.Struct, frozen=True, omit_defaults=True):
    """What estimates of this machine go by, beside the memory that is free."""

    reserve: int | None = None
    """Bytes kept free, as the settings say; None goes by the machine."""
    factor: float = 1.0
    """What measured loads taught: a prediction is multiplied by it."""
    error: float = 0.0
    """How far predictions are off after that, as a share: 0.04 is 4 %."""
    count: int = 0
    """Loads that it was told from."""


class FitEstimate(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one model takes in one form, and whether there is room. Bytes."""

    model: str
    """Its name."""
    kind: str
    """How the weights are held: bfloat16, int8, ..."""
    context: int
    """Tokens that are planned for."""
    parts: Parts
    need: int
    """All parts, times `correction`."""
    verdict: Verdict
    why: str
    """One sentence."""
    reserve: int
    """Kept free."""
    read: int
    """That one token reads, with some 2,000 tokens in the cache."""
    correction: float = 1.0
    """What this machine's measurements taught."""
    tokens_per_s: float = 0.0
    """The most that the measured bandwidth allows; 0 without one."""
    whole: bool = True
    """False: the shape is unknown, so cache and working memory are missing from `parts`."""
    remedy: str = ""
    """What would make it fit, as one sentence; empty when it does."""
    longest: int = 0
    """The most tokens of context that fit, as far as they were looked for."""
    error: float = 0.0
    """How far this machine's predictions were off, as a share, over `count` loads."""
    count: int = 0
    foretold: int = 0
    """Of this model's last measured load and replies: what was predicted for it, and what it took."""
    measured: int = 0


class EstimateFit(Command, frozen=True, tag=True):
    """Whether a model would fit now, by parts. Loads nothing."""

    Result: ClassVar[type] = FitEstimate
    model: str
    dtype: str = ""
    """float32, bfloat16, float16; empty: what a load here would take."""
    quant: str = ""
    """int8, int4, nf4, bnb8; empty packs nothing."""
    context: int = 0
    """Tokens to plan for; 0 takes 8,192, or the model's own where that is shorter."""
