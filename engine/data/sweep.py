"""A sweep in one line, `r=8,16,32 lr=1e-4..4e-4/3 seeds=3`, as the specs of its runs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, get_type_hints

import msgspec
from msgspec.structs import replace

from engine.data.spec_file import checked
from engine.protocol.errors import EngineError, fault
from engine.protocol.training import ALIASES, TrainSpec

SHORT = {"r": "rank", "lr": "rate", "a": "alpha", "bs": "batch", "wd": "weight_decay", "seeds": "seed"}
"""Short names of keys; `seeds=3` stands for the seeds 0, 1 and 2."""
MOST = 64
"""Runs of one sweep at most."""
_KINDS = get_type_hints(TrainSpec)
_FIXED = ("model", "data", "name", "group", "columns", "peft", "samples", "trackers", "tags")
KEYS = tuple(key for key in TrainSpec.__struct_fields__ if key not in _FIXED)
"""Keys that a sweep can vary."""


def variations(expression: str) -> list[dict[str, Any]]:
    """All combinations, the last key varying fastest. Raises EngineError `sweep_wrong`."""
    axes: dict[str, list[dict[str, Any]]] = {}
    for part in expression.split():
        name, equals, said = part.partition("=")
        key = SHORT.get(name, name)
        if not equals or key not in KEYS:
            raise _wrong(f"{part!r} varies no key of a run", f"Keys are: {', '.join((*SHORT, *KEYS))}")
        if key in axes:
            raise _wrong(f"{key} is said twice", "Put all its values behind one `=`")
        axes[key] = _values(name, key, said)
    if not axes:
        raise _wrong("Nothing is varied", "Say what to try, for example r=8,16,32 lr=1e-4..4e-4/3 seeds=3")
    total = 1
    for values in axes.values():
        total *= len(values)
    if total > MOST:
        raise _wrong(f"These are {total} runs, and {MOST} are the most", "Leave some values out")
    return [{k: v for part in parts for k, v in part.items()} for parts in itertools.product(*axes.values())]


def members(spec: TrainSpec, expression: str, group: str) -> list[TrainSpec]:
    """The spec in all its variations, named by what differs. Raises `sweep_wrong` or `spec_wrong`."""
    found = []
    for changes in variations(expression):
        name = "-".join(filter(None, [spec.name, label(changes)]))
        found.append(checked(replace(spec, **changes, name=name, group=group)))
    return found


def label(changes: Mapping[str, Any]) -> str:
    """`r16-lr0.0002`: what a member is called beside its siblings."""
    short = {key: name for name, key in SHORT.items()} | {"seed": "s"}
    words = []
    for key, value in changes.items():
        if isinstance(value, str):
            words.append(value)
        else:
            words.append(f"{short.get(key, key)}{value:g}" if not isinstance(value, bool) else key * value)
    return "-".join(filter(None, words))


def _values(name: str, key: str, said: str) -> list[dict[str, Any]]:
    if name == "seeds":
        count = _convert(key, said)
        if not 1 <= count <= MOST:
            raise _wrong(f"seeds={said} is no count of runs", f"Say a number from 1 to {MOST}")
        return [{"seed": seed} for seed in range(count)]
    values: list[dict[str, Any]] = []
    for piece in said.split(","):
        if ".." in piece:
            values += [{key: value} for value in _range(key, piece)]
        elif key == "method" and piece in ALIASES:
            method, quant = ALIASES[piece]
            values.append({"method": method, "quant": quant})
        else:
            values.append({key: _convert(key, piece)})
    return values


def _range(key: str, piece: str) -> list[Any]:
    """`1e-4..4e-4/3`: so many values, each the same multiple of the one before it (equal steps from 0)."""
    ends, _, count = piece.partition("/")
    low, high = (_convert(key, end) for end in ends.split("..", 1))
    steps = int(count) if count.isascii() and count.isdigit() else 0
    if steps < 2 or not isinstance(low, int | float) or isinstance(low, bool):
        raise _wrong(f"{piece!r} is no range", "Write LOW..HIGH/COUNT, for example 1e-4..4e-4/3")
    if low > 0 and high > 0:
        found = [low * (high / low) ** (place / (steps - 1)) for place in range(steps)]
    else:
        found = [low + (high - low) * place / (steps - 1) for place in range(steps)]
    if _KINDS[key] is int:
        return list(dict.fromkeys(round(value) for value in found))
    return [float(f"{value:.6g}") for value in found]


def _convert(key: str, said: str) -> Any:
    try:
        return msgspec.convert(said, _KINDS[key], strict=False)
    except msgspec.ValidationError as error:
        raise _wrong(f"{key} cannot be {said!r}", str(error)) from error


def _wrong(title: str, remedy: str) -> EngineError:
    return fault("sweep_wrong", title, remedy=remedy)
