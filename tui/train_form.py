"""The train form without its widgets: what the fields say as a spec, and where a fault belongs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from engine.api import EngineError, ErrorInfo, runs
from tui import places
from tui.train_fields import NUMBERS, TARGETS, Number

SHIPPED, MARKED, HUB = "shipped:", "marked:", "hub:"
PREFIXES = (SHIPPED, MARKED, HUB)
"""Data with one of them is no path."""
AUTO = ("", "auto", "all", "off", "never", "none")
SAMPLES_BY = " | "
"""Stands between two prompts in the field of samples."""
_OF_DATA = (
    *("dataset_unknown", "data_missing", "data_relative", "data_unreadable", "data_empty", "no_labels"),
    *("extra_missing", "hub_offline", "data_unknown", "columns_unknown"),
)
_OF_MODEL = (
    *("model_unsupported", "model_not_found", "model_too_large", "would_evict", "no_chat_template"),
    *("no_template", "device_unknown"),
)
_OF_METHOD = ("method_unknown", "quant_unavailable", "no_bitsandbytes", "method_unsupported")
_CHOICES = ("model", "method", "targets", "objective", "schedule", "packing", "checkpointing")
_ALL = (*_CHOICES, *NUMBERS, "data", "name", "eval_data", "samples", "tags", "pattern")
_KEYS = {"quant": "method", "columns": "data", "device": "model", "dtype": "model", "peft": "method"}
"""The field that a key of run.toml without one of its own belongs to."""


def texts(spec: runs.TrainSpec, host: str = "") -> dict[str, str]:
    """What the text fields say for a spec; empty stands for what is chosen by itself."""
    said = {field: _shown(number, getattr(spec, field)) for field, number in NUMBERS.items()}
    return said | {
        "data": places.typed(spec.data, host),
        "name": spec.name,
        "pattern": "" if spec.targets in TARGETS else spec.targets,
        "eval_data": places.typed(spec.eval_data, host),
        "samples": SAMPLES_BY.join(spec.samples),
        "tags": ", ".join(spec.tags),
    }


def read(
    spec: runs.TrainSpec, said: Mapping[str, str], host: str = ""
) -> tuple[runs.TrainSpec, dict[str, str]]:
    """The spec with what the fields say, and by field what is wrong with it, in one sentence each.

    Where the engine is on a `host`, a file of this side reads `here:PATH` until it was sent.
    """
    faults: dict[str, str] = {}
    values: dict[str, Any] = {
        "name": said["name"].strip(),
        "data": _sided("data", said, host, faults),
        "eval_data": _sided("eval_data", said, host, faults),
        "tags": tuple(dict.fromkeys(filter(None, (each.strip() for each in said["tags"].split(","))))),
        "samples": tuple(filter(None, (each.strip() for each in said["samples"].split(SAMPLES_BY.strip())))),
    }
    if said["pattern"].strip():
        values["targets"] = said["pattern"].strip()
    if not values["data"] and "data" not in faults:
        faults["data"] = "Choose a dataset: Ctrl+L lists them, Ctrl+N writes one, or type the path of a file."
    for field, number in NUMBERS.items():
        value = _value(number, said[field])
        if isinstance(value, str):
            faults[field] = value
        else:
            values[field] = value
    return replace(spec, **{key: value for key, value in values.items() if key not in faults}), faults


def field_of(info: ErrorInfo) -> str:
    """The field that a refusal is about; empty when it is about none."""
    if info.code in _OF_DATA:
        return "data"
    if info.code in _OF_MODEL:
        return "model"
    if info.code in _OF_METHOD:
        return "method"
    if info.code == "no_targets":
        return "targets"
    if info.code == "spec_wrong":
        first = info.title.split()[0].strip("`'\"")
        return first if first in _ALL else _KEYS.get(first, "epochs")
    return ""


def auto_name(spec: runs.TrainSpec) -> str:
    """What a run without a name is called."""
    data = spec.data
    for prefix in PREFIXES:
        data = data.removeprefix(prefix)
    stem = Path(data.split("@")[0]).stem or ("marked" if spec.data.startswith(MARKED) else "adapter")
    return f"{stem}-full" if spec.method == "full" else f"{stem}-r{spec.rank}"


def whole(data: str) -> str:
    """Typed data as the engine takes it, which has no folder of its own: a path from the root on."""
    data = data.strip()
    if not data or data.startswith(PREFIXES):
        return data
    try:
        return str(Path(data).expanduser().absolute())
    except RuntimeError:  # ~ of somebody who is not known here
        return data


def _sided(field: str, said: Mapping[str, str], host: str, faults: dict[str, str]) -> str:
    """The data of a field with its side; where it names none of both, `faults` says so."""
    data = said[field].strip()
    if not host or not data or data.startswith(PREFIXES):
        return whole(data)
    named = places.parse(data, host)
    path = whole(named.path)
    try:
        place = places.settle(data, host, exists=not named.side and Path(path).is_file())
    except EngineError as error:
        faults[field] = error.info.sentence()
        return ""
    except OSError:  # a name that no file can have
        place = places.Place("here", data)
    return f"{places.HERE}:{path}" if place.side == "here" else place.path


def _shown(number: Number, value: float) -> str:
    if number.auto and not value:
        return ""
    return f"{value * 100:g}" if number.percent else str(value) if number.whole else f"{value:g}"


def _value(number: Number, text: str) -> float | str:
    """What a field says, or the sentence that tells what is wrong with it."""
    value = 0.0 if number.auto and text.strip().lower() in AUTO else _number(text)
    wrong = value is None or not number.low <= value <= number.high or (number.whole and value != int(value))
    if wrong or value is None:
        return f"{number.title} takes {_range(number)}."
    return int(value) if number.whole else value / 100 if number.percent else value


def _range(number: Number) -> str:
    kind = "a whole number" if number.whole else "a number"
    unit = " %" if number.percent else ""
    if number.high >= 1e6 or (number.whole and number.low == 1):
        return f"{kind} of at least {number.low:g}{unit}"
    return f"{kind} from {number.low:g} to {number.high:g}{unit}"


def _number(text: str) -> float | None:
    try:
        number = float(text.replace(",", "").replace("%", "").strip())
    except ValueError:
        return None
    return number if number == number and abs(number) != float("inf") else None
