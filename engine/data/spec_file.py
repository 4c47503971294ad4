"""`run.toml`: a TrainSpec as a file that a person can read, change and run again."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from engine.data.methods import check_method, default_alpha, default_rate, short_name
from engine.protocol.errors import EngineError, fault
from engine.protocol.runs import TrainSpec
from engine.protocol.specs import ModelInfo

BOUNDS: dict[str, tuple[float, float]] = {
    "rank": (1, 1024),
    "alpha": (0, 4096),
    "dropout": (0, 0.9),
    "steps": (0, 1_000_000),
    "epochs": (0, 1000),
    "batch": (1, 1024),
    "accumulate": (1, 4096),
    "length": (16, 1 << 20),
    "rate": (0, 1),
    "warmup": (0, 1),
    "weight_decay": (0, 1),
    "clip": (0, 1e6),
    "eval_fraction": (0, 0.5),
    "eval_every": (0, 1_000_000),
    "save_every": (0, 1_000_000),
    "early_stop": (0, 1000),
    "loraplus": (0, 1000),
    "beta": (0, 100),
    "limit": (0, 1_000_000_000),
}
"""Smallest and largest sensible value of each number."""


def checked(spec: TrainSpec) -> TrainSpec:
    """The spec itself; raises EngineError `spec_wrong` that names the key, its value and its bounds."""
    for key, (low, high) in BOUNDS.items():
        value = getattr(spec, key)
        if not low <= value <= high:
            raise fault(
                "spec_wrong",
                f"{key} is {value}, and must lie between {low:g} and {high:g}",
                remedy=f"Change `{key}`; leave it out for the default {getattr(DEFAULTS, key):g}",
            )
    check_method(spec)
    return spec


DEFAULTS = TrainSpec("", "")


def filled(spec: TrainSpec, model: ModelInfo) -> TrainSpec:
    """What was left to us, chosen: name, alpha, rate, and no rows longer than the model's context."""
    data = Path(spec.data.removeprefix("shipped:")).stem
    return replace(
        spec,
        name=spec.name or f"{data}-{short_name(spec)}",
        quant="nf4" if spec.method == "loftq" else spec.quant,
        alpha=spec.alpha or default_alpha(spec.method, spec.rank),
        rate=spec.rate or _gentle(spec) * default_rate(spec.method, model.parameters),
        length=min(spec.length, model.context or spec.length),
    )


def _gentle(spec: TrainSpec) -> float:
    """Preferences take smaller steps: the loss asks for a difference, and is content with ruined answers."""
    return 0.25 if spec.objective in ("dpo", "orpo", "kto") else 1.0


def load_spec(path: Path, changes: Mapping[str, object] | None = None) -> TrainSpec:
    """Read a run.toml, with `changes` in place of its values.

    Raises EngineError `spec_wrong` or `spec_unreadable` with the place of the fault.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise fault("spec_unreadable", f"{path} cannot be read", reason, "Check the path") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        remedy = "Look at that place; texts stand in quotes"
        raise fault("spec_unreadable", f"{path} is not TOML", str(error), remedy) from error
    return spec_of(values | dict(changes or {}), path.name)


def spec_of(values: Mapping[str, object], source: str) -> TrainSpec:
    """A spec from its values; `source` names them in the EngineError `spec_wrong`."""
    try:
        return checked(msgspec.convert(dict(values), TrainSpec))
    except msgspec.ValidationError as error:
        raise _wrong(source, error) from error


def dump_spec(spec: TrainSpec) -> bytes:
    """The spec as TOML, every key written out so that a later default changes nothing."""
    lines = [f"{field} = {_toml(getattr(spec, field))}" for field in TrainSpec.__struct_fields__]
    return ("\n".join(lines) + "\n").encode()


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(str(key))} = {_toml(each)}" for key, each in value.items()) + "}"
    # JSON's strings, numbers and lists are TOML's too, once DEL is escaped.
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")


def _wrong(source: str, error: msgspec.ValidationError) -> EngineError:
    return fault(
        "spec_wrong",
        f"{source} is not a run",
        str(error),
        f"Keys are: {', '.join(TrainSpec.__struct_fields__)}",
    )
