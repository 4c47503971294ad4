"""What nobody chose, and the request that a sampling becomes."""

from __future__ import annotations

import secrets
from typing import Any

from msgspec.structs import replace

from engine.protocol.specs import ModelInfo, Sampling

QWEN3_THINKING = Sampling(temperature=0.6, top_p=0.95, top_k=20, min_p=0.0, repetition_penalty=1.0)
QWEN3_PLAIN = Sampling(temperature=0.7, top_p=0.8, top_k=20, min_p=0.0, repetition_penalty=1.0)
"""Source: Qwen3's model cards, "Best Practices"."""
LLAMA = Sampling(temperature=0.8, top_p=0.95, top_k=40, min_p=0.05, repetition_penalty=1.0)
"""llama.cpp's own, for files that say nothing."""
ORDER = ["penalties", "temperature", "top_k", "top_p", "min_p"]
"""As transformers has it; llama.cpp's own order puts the temperature last."""
PENALISED = 1 << 17
"""Tokens back that the repetition penalty looks: all of any chat, as transformers does."""
_FIELDS = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")


def defaults(model: ModelInfo) -> tuple[Sampling, Sampling]:
    """With thinking and without: what the file or its store says, else what fits its family."""
    thinks = model.thinking != "never"
    thinking = plain = LLAMA
    if model.family.startswith("qwen3"):
        thinking, plain = (QWEN3_THINKING if thinks else QWEN3_PLAIN), QWEN3_PLAIN
    # A file's one set of values is meant for the mode that it thinks in.
    said = model.defaults
    return _filled(said, thinking), plain if thinks and plain is not LLAMA else _filled(said, plain)


def resolve(wanted: Sampling, given: Sampling) -> Sampling:
    """What was wanted, the defaults where it says nothing, and a seed drawn where none was given."""
    filled = _filled(wanted, given)
    seed = secrets.randbits(31) if wanted.seed is None else wanted.seed
    return replace(filled, seed=seed, max_tokens=wanted.max_tokens)


def fields(sampling: Sampling) -> dict[str, Any]:
    """The part of a completion request; every value is named, since llama.cpp's defaults differ from ours."""
    penalty = sampling.repetition_penalty or 1.0
    greedy = (sampling.temperature or 0.0) <= 0
    return {
        "samplers": ["penalties", "temperature"] if greedy else ORDER,
        "temperature": 0.0 if greedy else sampling.temperature,
        "top_k": sampling.top_k or 0,
        "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
        "min_p": sampling.min_p or 0.0,
        "repeat_penalty": penalty,
        "repeat_last_n": 0 if penalty == 1.0 else PENALISED,
        "seed": (sampling.seed or 0) % 0xFFFFFFFF,
    }


def _filled(wanted: Sampling, given: Sampling) -> Sampling:
    values = {
        name: getattr(given, name) if getattr(wanted, name) is None else getattr(wanted, name)
        for name in _FIELDS
    }
    return Sampling(**values)
