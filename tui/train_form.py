"""The train form without its widgets: what the fields say as a spec, and where a fault belongs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from engine.api import ErrorInfo, commands, runs
from tui.format import percent, plural, seconds, size

SHIPPED = "shipped:"
WHOLE = {"rank": "Rank", "batch": "Batch", "accumulate": "Accumulate", "length": "Length"}
"""Fields that take a whole number of at least 1."""
TARGETS = {"attention+mlp": "attention + MLP", "attention": "attention", "mlp": "MLP"}
AUTO = ("", "auto", "0")
_OF_DATA = ("dataset_unknown", "data_missing", "data_relative", "data_unreadable", "data_empty", "no_labels")
_OF_MODEL = (
    "model_unsupported",
    "model_not_found",
    "model_too_large",
    "would_evict",
    "no_chat_template",
    "no_template",
    "no_targets",
)
_ALL = ("model", "data", "name", *WHOLE, "targets", "epochs", "steps", "rate", "eval_fraction")


def texts(spec: runs.TrainSpec) -> dict[str, str]:
    """What the text fields say for a spec; empty stands for what is chosen by itself."""
    return {
        "data": spec.data,
        "name": spec.name,
        "rank": str(spec.rank),
        "epochs": f"{spec.epochs:g}",
        "steps": str(spec.steps or ""),
        "batch": str(spec.batch),
        "accumulate": str(spec.accumulate),
        "length": str(spec.length),
        "rate": f"{spec.rate:g}" if spec.rate else "",
        "eval_fraction": f"{spec.eval_fraction * 100:g}",
    }


def read(spec: runs.TrainSpec, said: Mapping[str, str]) -> tuple[runs.TrainSpec, dict[str, str]]:
    """The spec with what the fields say, and by field what is wrong with it, in one sentence each."""
    values: dict[str, Any] = {"name": said["name"].strip(), "data": _path(said["data"].strip())}
    faults: dict[str, str] = {}
    if not values["data"]:
        faults["data"] = (
            "Choose a dataset: Ctrl+L lists those that come with Qwill, or type the path of a file."
        )
    for field, title in WHOLE.items():
        number = _number(said[field])
        if number is None or number < 1 or number != int(number):
            faults[field] = f"{title} takes a whole number of at least 1."
        else:
            values[field] = int(number)
    values["steps"] = _whole_or_auto(said["steps"], faults)
    for field, title, high in (
        ("epochs", "Epochs", 1000),
        ("rate", "Rate", 1),
        ("eval_fraction", "Eval", 50),
    ):
        number = 0.0 if said[field].strip().lower() in AUTO else _number(said[field])
        if number is None or not 0 <= number <= high:
            unit = " %" if field == "eval_fraction" else ""
            faults[field] = f"{title} takes a number from 0 to {high}{unit}."
        else:
            values[field] = number / 100 if field == "eval_fraction" else number
    if not faults and not values["steps"] and not values["epochs"]:
        faults["epochs"] = "Set the epochs, or the steps."
    return msgspec.structs.replace(spec, **{k: v for k, v in values.items() if k not in faults}), faults


def field_of(info: ErrorInfo) -> str:
    """The field that a refusal is about; empty when it is about none."""
    if info.code in _OF_DATA:
        return "data"
    if info.code in _OF_MODEL:
        return "model"
    if info.code == "spec_wrong":
        first = info.title.split()[0]
        return first if first in _ALL else "epochs"
    return ""


def auto_name(spec: runs.TrainSpec) -> str:
    """What a run without a name is called."""
    return f"{Path(spec.data.removeprefix(SHIPPED)).stem or 'adapter'}-r{spec.rank}"


def usable(found: commands.MarkedList) -> int:
    """How many marked replies can be learned from; beyond the first page, how many are marked at all."""
    if found.total > len(found.replies):
        return found.total
    return sum(each.message.mark == "good" or each.message.origin == "edited" for each in found.replies)


def data_words(report: runs.DatasetReport, title: str = "") -> str:
    """`512 chats · 41 % of the text is learned · every line is fine`."""
    parts = [title] if title else []
    parts.append(plural(report.rows, "chat"))
    if report.characters:
        parts.append(f"{percent(report.labelled_characters / report.characters)} of the text is learned")
    if report.problem_count:
        verb = "needs" if report.problem_count == 1 else "need"
        parts.append(f"{plural(report.problem_count, 'line')} {verb} a look (Ctrl+O)")
    else:
        parts.append("every line is fine")
    return " · ".join(parts)


def need_words(estimate: runs.Estimate) -> str:
    """`44 M more, of 9.8 G free`."""
    return f"{size(sum(estimate.parts.values()) - estimate.shared)} more, of {size(estimate.free)} free"


def parts_words(estimate: runs.Estimate) -> str:
    """`base 8.3 M shared + adapter 2.1 M + …`."""
    parts = []
    for part, held in estimate.parts.items():
        shared = " shared" if part == "base" and estimate.shared else ""
        parts.append(f"{part} {size(held)}{shared}")
    return " + ".join(parts)


def time_words(estimate: runs.Estimate) -> str:
    """`216 steps over 287 chats · about 38 s on this machine`."""
    parts = [f"{plural(estimate.steps, 'step')} over {plural(estimate.rows, 'chat')}"]
    if estimate.seconds is not None:
        parts.append(f"about {seconds(estimate.seconds)} on this machine")
    if estimate.tokens and estimate.labelled:
        parts.append(
            f"{plural(estimate.tokens, 'token')}, {percent(estimate.labelled / estimate.tokens)} learned"
        )
    return " · ".join(parts)


def _path(data: str) -> str:
    """A typed path from the root on, so that the engine, which has no folder of its own, finds it."""
    if not data or data.startswith(SHIPPED):
        return data
    try:
        return str(Path(data).expanduser().absolute())
    except RuntimeError:  # ~ of somebody who is not known here
        return data


def _number(text: str) -> float | None:
    try:
        number = float(text.replace(",", "").replace("%", "").strip())
    except ValueError:
        return None
    return number if number == number and abs(number) != float("inf") else None


def _whole_or_auto(text: str, faults: dict[str, str]) -> int:
    if text.strip().lower() in AUTO:
        return 0
    number = _number(text)
    if number is None or number < 0 or number != int(number):
        faults["steps"] = "Steps takes a whole number, or nothing: then they follow from the epochs."
        return 0
    return int(number)
