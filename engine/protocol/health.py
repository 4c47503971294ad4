"""How fast the models answer here: averages over the last replies, against the best of this machine."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from engine.protocol.command import Command


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is not as good as it was here."""

    what: Literal["speed", "first token", "memory"]
    word: Literal["slow", "high"]
    sentence: str
    """What is so, against what."""
    cause: str = ""
    """What may be behind it, as far as it can be seen now."""
    remedy: str = ""
    """What to change."""


class ModelHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """One model in one form. Averages are over its last ten replies; 0 is unknown."""

    model: str
    """Its id."""
    name: str
    quant: str = ""
    """How its weights were held: empty is as `dtype`, else int8, int4, nf4, bnb8 or a GGUF file's own."""
    dtype: str = ""
    device: str = ""
    """Of the newest reply."""
    threads: int = 0
    """Of the newest reply, on a CPU."""
    replies: int = 0
    """That the averages are over."""
    counted: int = 0
    """All that are remembered."""
    at: float = 0.0
    """Unix time of the newest one."""
    tokens_per_s: float = 0.0
    best_tokens_per_s: float = 0.0
    """The best that a few replies in a row reached."""
    ttft_ms: float = 0.0
    best_ttft_ms: float = 0.0
    memory: int = 0
    """Bytes of weights and of the chat's cache."""
    least_memory: int = 0
    context_used: float = 0.0
    """Tokens."""
    findings: tuple[Finding, ...] = ()
    tip: str = ""
    """One sentence: another form of it would be faster."""

    @property
    def held_as(self) -> str:
        """How its weights were held, in a word."""
        return self.quant or self.dtype


class HealthReport(msgspec.Struct, frozen=True):
    models: tuple[ModelHealth, ...]
    """Used last first."""


class ReadHealth(Command, frozen=True, tag=True):
    """The health of one model by id, name or folder in all its forms, or of all models. Loads nothing."""

    Result: ClassVar[type] = HealthReport
    model: str = ""
