"""Weights of adapters as they are typed, alone and several together."""

from __future__ import annotations

import re

HEAVIEST = 2.0
"""Weight of an adapter at most; 0 is as without it."""
_AND = re.compile(r"(?:^|\s)\+(?:\s|$)")


def split_weight(wanted: str) -> tuple[str, float]:
    """`pirate 0.8` as name and weight; a weight alone is meant for the active adapter."""
    head, _, last = wanted.rpartition(" ")
    weight = _weight(last)
    return (wanted, 1.0) if weight is None else (head.strip(), weight)


def split_mix(wanted: str) -> list[tuple[str, float]]:
    """`pirate 0.8 + legal` as names and weights; an empty name before a leading `+` is what is active."""
    return [split_weight(part.strip()) for part in _AND.split(wanted)]


def split_colon(wanted: str) -> tuple[str, float | None]:
    """`pirate:0.8` as name and weight; None where none is given."""
    head, _, last = wanted.rpartition(":")
    weight = _weight(last) if head else None
    return (wanted, None) if weight is None else (head, weight)


def label(parts: list[tuple[str, float]]) -> str:
    """`pirate ×0.8 + legal`; a weight of 1 is not named."""
    return " + ".join(name if weight == 1.0 else f"{name} ×{weight:g}" for name, weight in parts)


def _weight(text: str) -> float | None:
    try:
        weight = float(text.lstrip("×x"))
    except ValueError:
        return None
    return weight if 0.0 <= weight <= HEAVIEST else None
