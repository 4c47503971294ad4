"""The sampling that whoever made a model advises, out of a table that anybody may have written."""

from __future__ import annotations

from typing import Any

from engine.protocol.specs import Sampling


def advised(values: dict[str, Any], repetition: str = "repetition_penalty") -> Sampling:
    """`repetition`: what the table calls its penalty."""
    top_k = number(values, "top_k")
    return Sampling(
        temperature=number(values, "temperature"),
        top_k=None if top_k is None else int(top_k),
        top_p=number(values, "top_p"),
        min_p=number(values, "min_p"),
        repetition_penalty=number(values, repetition),
    )


def number(values: dict[str, Any], key: str) -> float | None:
    """None where it is missing or cannot be meant."""
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e6 else None
