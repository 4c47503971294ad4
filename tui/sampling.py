"""`/set NAME VALUE`: one field of the sampling settings, checked."""

from __future__ import annotations

import msgspec

from engine.api import fault, specs

_RANGES: dict[str, tuple[type, float, float]] = {
    "temperature": (float, 0, 5),
    "top_k": (int, 0, 1_000_000),
    "top_p": (float, 0, 1),
    "min_p": (float, 0, 1),
    "repetition_penalty": (float, 0.1, 10),
    "seed": (int, 0, 2**63 - 1),
    "max_tokens": (int, 1, 10_000_000),
}


def change(sampling: specs.Sampling, name: str, value: str) -> specs.Sampling:
    """The settings with one field set; `auto` leaves it to the model. Raises EngineError `bad_setting`."""
    if name not in _RANGES:
        raise fault(
            "bad_setting", f"There is no setting {name or '(empty)'}", remedy=f"Use {', '.join(_RANGES)}"
        )
    if value in ("auto", "default"):
        return msgspec.structs.replace(sampling, **{name: None})
    kind, low, high = _RANGES[name]
    try:
        number = kind(value)
    except ValueError:
        number = None
    if number is None or not low <= number <= high:
        word = "a whole number" if kind is int else "a number"
        raise fault("bad_setting", f"{name} is {word} from {low:g} to {high:g}", remedy="Or `auto`")
    return msgspec.structs.replace(sampling, **{name: number})
