"""The numbers of a chat's settings: what each may be, read from what was typed, and whose it is."""

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
_OWN_RANGES: dict[str, tuple[type, float, float]] = {
    "context": (int, 64, 10_000_000),
    "think_budget": (int, 1, 10_000_000),
}
NUMBERS = (*_RANGES, *_OWN_RANGES)
"""Every number of a chat's settings."""
_AUTO = ("auto", "default", "")
Number = float | int


def change(sampling: specs.Sampling, name: str, value: str) -> specs.Sampling:
    """The settings with one field set; `auto` leaves it to the model. Raises EngineError `bad_setting`."""
    if name not in _RANGES:
        raise fault(
            "bad_setting", f"There is no setting {name or '(empty)'}", remedy=f"Use {', '.join(_RANGES)}"
        )
    return msgspec.structs.replace(sampling, **{name: parse(name, value)})


def parse(name: str, value: str) -> Number | None:
    """What was typed for a number of the settings; None is `auto`. Raises EngineError `bad_setting`."""
    kind, low, high = (_RANGES | _OWN_RANGES)[name]
    # What people paste: 2,048 and, where a comma is the decimal sign, 0,7.
    word = value.strip().lower()
    word = word.replace(",", "." if kind is float else "").replace("_", "")
    if word in _AUTO:
        return None
    try:
        number = kind(word)
    except ValueError:
        number = None
    if number is None or not low <= number <= high:
        noun = "a whole number" if kind is int else "a number"
        raise fault("bad_setting", f"{name} is {noun} from {low:g} to {high:g}", remedy="Or `auto`")
    return number


def get(settings: specs.ChatSettings, name: str) -> Number | None:
    """A number of the settings; None where the chat leaves it open."""
    if name in _RANGES:
        return _fields(settings.sampling)[name]
    return settings.context if name == "context" else settings.think_budget


def put(settings: specs.ChatSettings, name: str, number: Number | None) -> specs.ChatSettings:
    """The settings with one number changed."""
    if name in _RANGES:
        sampling = msgspec.structs.replace(settings.sampling, **{name: number})
        return msgspec.structs.replace(settings, sampling=sampling)
    return msgspec.structs.replace(settings, **{name: number})


def own(model: specs.ModelInfo | None, settings: specs.ChatSettings, name: str) -> Number | None:
    """What the model does where the chat leaves it open; None where that is not known."""
    if model is None:
        return None
    if name == "context":
        return model.context or None
    if name not in _RANGES:
        return None
    thinks = settings.think or model.thinking != "switchable"
    return _fields(model.defaults if thinks else model.plain_defaults)[name]


def words(number: Number | None) -> str:
    """`0.6`, `20`, `1`, `32,768`; empty for None. Read back by `parse` as the same number."""
    if number is None:
        return ""
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def _fields(sampling: specs.Sampling) -> dict[str, Number | None]:
    return {name: value for name, value in msgspec.structs.asdict(sampling).items() if name in _RANGES}
