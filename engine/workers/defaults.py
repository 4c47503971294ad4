"""The sampling that a model's maker meant, and what one reply uses of it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from engine.models.headers import Broken, read_json
from engine.protocol.specs import Sampling, ThinkingKind

HF_TOP_K = 50
"""What transformers samples with when generation_config.json turns sampling on and names no top-k."""
QWEN3_THINKING = Sampling(temperature=0.6, top_p=0.95, top_k=20, min_p=0.0, repetition_penalty=1.0)
QWEN3_PLAIN = Sampling(temperature=0.7, top_p=0.8, top_k=20, min_p=0.0, repetition_penalty=1.0)
"""Source: Qwen3's model cards, "Best Practices"."""
GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0, min_p=0.0, repetition_penalty=1.0)


class ModelDefaults:
    """Sampling of one model when nobody chose anything, with thinking and without."""

    def __init__(self, config: Mapping[str, Any] | None, family: str, thinking: ThinkingKind) -> None:
        """`config`: generation_config.json, None when there is no such file; `family`: config.model_type."""
        qwen3 = family.startswith("qwen3")
        self.thinking = _from_config(config, QWEN3_THINKING if qwen3 else GREEDY)
        self.plain = self.thinking
        if qwen3 and thinking == "switchable" and self.thinking.temperature:
            self.plain = replace(QWEN3_PLAIN, repetition_penalty=self.thinking.repetition_penalty)

    @classmethod
    def read(cls, folder: Path, family: str, thinking: ThinkingKind) -> ModelDefaults:
        """From a model's folder; a missing or broken file counts as none."""
        try:
            config = read_json(folder / "generation_config.json")
        except (Broken, OSError):
            config = None
        return cls(config, family, thinking)


def resolve(wanted: Sampling, defaults: Sampling) -> Sampling:
    """What was wanted, the defaults where it says nothing, and a seed drawn where none was given."""
    chosen = {
        name: getattr(defaults, name) if getattr(wanted, name) is None else getattr(wanted, name)
        for name in ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
    }
    seed = secrets.randbits(31) if wanted.seed is None else wanted.seed
    return Sampling(**chosen, seed=seed, max_tokens=wanted.max_tokens)


def _from_config(config: Mapping[str, Any] | None, without: Sampling) -> Sampling:
    if config is None:
        return without
    penalty = _number(config, "repetition_penalty", 1.0) or 1.0
    if config.get("do_sample") is not True:
        return replace(GREEDY, repetition_penalty=penalty)
    return Sampling(
        temperature=_number(config, "temperature", 1.0),
        top_p=_number(config, "top_p", 1.0),
        top_k=int(_number(config, "top_k", HF_TOP_K)),
        min_p=_number(config, "min_p", 0.0),
        repetition_penalty=penalty,
    )


def _number(config: Mapping[str, Any], key: str, otherwise: float) -> float:
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
        return otherwise
    return float(value)
