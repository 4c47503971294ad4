"""What differs between runs: their settings and nothing else, and what changed in one sentence. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine.api import runs
from tui.format import seconds
from tui.run_values import SETTINGS, Value, plain_number, setting, shown

WORDS = {
    "model": "base",
    "rate": "rate",
    "warmup": "warm-up",
    "weight_decay": "weight decay",
    "eval_fraction": "held out",
    "eval_data": "eval data",
    "eval_every": "eval every",
    "save_every": "save every",
    "early_stop": "early stop",
    "loraplus": "LoRA+",
    "limit": "rows at most",
    "peft": "PEFT keys",
}
"""Settings that read better under another name."""
_SILENT = ("quant", "samples", "trackers", "columns", "save_every", "eval_every", "device", "checkpointing")
"""What a short list of differences leaves out: it changes no weights, or another key says it."""


class Difference(NamedTuple):
    """One setting that is not the same in all runs."""

    key: str
    label: str
    values: tuple[str, ...]
    """As people read them, a run each."""


def label(key: str) -> str:
    """A setting's name in words."""
    return WORDS.get(key, key.replace("_", " "))


def values_of(run: runs.RunInfo) -> dict[str, Value]:
    """Every setting, and what the data and versions were."""
    found = {key: setting(run.spec, key) for key in SETTINGS if key != "quant"}
    found["steps"] = found["steps"] if found["steps"] is not None else run.steps or None
    found["data_hash"] = run.data_hash[:12]
    found["rows"] = run.rows or None
    return found


def differing(found: Sequence[runs.RunInfo]) -> list[Difference]:
    """The settings that differ among these runs; epochs only where the steps do not say it already."""
    if len(found) < 2:
        return []
    every = [values_of(run) for run in found]
    keys = [key for key in every[0] if any(each[key] != every[0][key] for each in every)]
    if "rows" in keys and any(each["rows"] is None for each in every):
        keys.remove("rows")  # nobody has counted them yet
    if "data" in keys and "data_hash" in keys:
        keys.remove("data_hash")  # other data has another hash
    labels = {"data_hash": "data's bytes"}
    return [
        Difference(key, labels.get(key, label(key)), tuple(_read(key, each[key]) for each in every))
        for key in keys
    ]


def against(first: runs.RunInfo, run: runs.RunInfo) -> str:
    """`method DoRA, rate 1e-4`: what this run has otherwise than the first; `–` for nothing."""
    if first.id == run.id:
        return "–"
    found = _telling(first, run)
    return ", ".join(f"{each.label} {each.values[1]}" for each in found) or "–"


def sentence(before: runs.RunInfo, after: runs.RunInfo) -> str:
    """`rate ×2, +120 steps → eval −0.07`: what changed from one run to the other, and what came of it."""
    first, second = values_of(before), values_of(after)
    causes = [
        _change(each.key, each.label, first[each.key], second[each.key]) for each in _telling(before, after)
    ]
    effects = [words for words in (_effect(before, after),) if words] or ["nothing measured yet"]
    if before.started and after.started and before.ended and after.ended:
        longer = after.took - before.took
        if abs(longer) >= 1:
            effects.append(f"{_sign(longer)}{seconds(abs(longer))}")
    return f"{', '.join(causes) or 'same settings'} → {', '.join(effects)}"


def _telling(first: runs.RunInfo, other: runs.RunInfo) -> list[Difference]:
    """The differences without what says nothing of its own: alpha that only goes along with the rank."""
    one, two = first.spec, other.spec
    silent = set(_SILENT)
    if (one.alpha or 2 * one.rank) * two.rank == (two.alpha or 2 * two.rank) * one.rank:
        silent.add("alpha")
    found = [each for each in differing((first, other)) if each.key not in silent]
    if any(each.key == "rows" for each in found):
        found = [each for each in found if each.key != "data_hash"]  # their number says it better
    return found


def _effect(before: runs.RunInfo, after: runs.RunInfo) -> str:
    for word, old, new in (
        ("eval", before.eval_loss, after.eval_loss),
        ("loss", before.loss, after.loss),
    ):
        if old is not None and new is not None:
            return f"{word} {signed(new - old)}"
    return ""


def signed(change: float) -> str:
    """`+0.07`, `−0.07`, `±0`: three decimals where two would say nothing."""
    if change != change:
        return "NaN"
    digits = 2 if abs(change) >= 0.1 or round(change, 2) == round(change, 3) else 3
    words = f"{abs(change):.{digits}f}"
    return "±0" if float(words) == 0 else _sign(change) + words


def _sign(change: float) -> str:
    return "−" if change < 0 else "+"


def _change(key: str, title: str, old: Value, new: Value) -> str:
    """One cause: by how many times or by how much a number is larger, else what it is now."""
    numbers = isinstance(old, int | float) and isinstance(new, int | float)
    if numbers and key in ("rows", "steps", "limit", "epochs", "length"):
        change = float(new) - float(old)  # type: ignore[arg-type]  # both are numbers
        return f"{_sign(change)}{plain_number(abs(change))} {title}"
    if numbers and old and new and key != "seed":
        times = float(new) / float(old)  # type: ignore[arg-type]  # both are numbers
        return f"{title} ×{times:.3g}" if times >= 1 else f"{title} ÷{1 / times:.3g}"
    return f"{title} {_read(key, old)} to {_read(key, new)}"


def _read(key: str, found: Value) -> str:
    if found is None:
        return "auto"
    return shown(key, found)
