"""What a run can be sorted, filtered and compared by: every metric and every setting, by name. Pure."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable

from engine.api import runs
from tui.format import parameters, percent, seconds, size

Value = str | float | tuple[str, ...] | None
"""None: there is none (yet)."""

ALIASES = {
    "lr": "rate",
    "learning_rate": "rate",
    "r": "rank",
    "bs": "batch",
    "base": "model",
    "tag": "tags",
    "dataset": "data",
    "eval_loss": "eval",
    "grad_norm": "grad",
    "tokens_per_s": "speed",
    "memory": "peak",
    "seconds": "time",
    "wd": "weight_decay",
}
"""Other names that people type."""


def _time(run: runs.RunInfo) -> Value:
    # Somebody may have set the clock back meanwhile.
    return max(0.0, (run.ended or time.time()) - run.started) if run.started else None


METRICS: dict[str, Callable[[runs.RunInfo], Value]] = {
    "eval": lambda run: run.eval_loss,
    "best": lambda run: run.best_eval,
    "loss": lambda run: run.loss,
    "time": _time,
    "peak": lambda run: run.peak or None,
    "speed": lambda run: run.tokens_per_s or None,
    "step": lambda run: run.step,
    "epoch": lambda run: run.epoch or None,
    "tokens": lambda run: run.tokens or None,
    "grad": lambda run: run.grad_norm or None,
    "forgetting": lambda run: run.forgetting,
    "size": lambda run: run.adapter_bytes or None,
    "tries": lambda run: run.tries,
    "findings": lambda run: len(run.findings),
    "place": lambda run: run.place or None,
    "created": lambda run: run.created or None,
    "name": lambda run: run.name,
    "id": lambda run: run.id,
    "state": lambda run: run.state,
    "note": lambda run: run.note,
    "tags": lambda run: run.tags or run.spec.tags,
    "device": lambda run: run.device or run.spec.device,
}
"""What came of a run, and what it is called."""
SETTINGS: tuple[str, ...] = tuple(
    key for key in runs.TrainSpec.__struct_fields__ if key not in ("name", "tags", "group")
)
"""What was asked of it, as run.toml has it."""
KEYS: tuple[str, ...] = (*METRICS, *(key for key in SETTINGS if key not in METRICS), "group")
"""Everything that `value` knows."""
_TIMES, _SIZES = ("time", "eta"), ("peak", "size")


def known(key: str) -> str:
    """The name that a word stands for; "" where it stands for none."""
    word = key.lower()
    word = ALIASES.get(word, word)
    return word if word in KEYS else ""


def value(run: runs.RunInfo, key: str) -> Value:
    """A run's value by one of KEYS; a number that is none is None too."""
    found = METRICS[key](run) if key in METRICS else setting(run.spec, key)
    if isinstance(found, float) and math.isnan(found):
        return None
    return found


def setting(spec: runs.TrainSpec, key: str) -> Value:
    """A setting as a value; None where it is chosen by the engine."""
    found = getattr(spec, key)
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, int | float):
        return None if found == 0 and key in ("rate", "alpha", "steps", "eval_every", "save_every") else found
    if isinstance(found, tuple):
        return tuple(map(str, found))
    if isinstance(found, dict):
        return ", ".join(f"{name} {found[name]}" for name in sorted(found))
    if key == "method" and spec.quant:
        return f"{spec.quant} {found}"
    return str(found)


def shown(key: str, found: Value) -> str:
    """A value as people read it; `–` for none."""
    if found is None or found in ("", ()):
        return "–"
    if isinstance(found, tuple):
        return " ".join(found)
    if isinstance(found, str):
        return short_data(found) if key in ("data", "eval_data") else METHODS.get(found, found)
    if key in _TIMES:
        return seconds(found)
    if key in _SIZES:
        return size(int(found))
    if key == "created":
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(found))
    if key in ("eval", "best", "loss"):
        return loss(found)
    if key == "warmup" or key.endswith("_fraction"):
        return percent(found)
    if key == "tokens":
        return parameters(int(found))
    return plain_number(found)


METHODS = {
    "lora": "LoRA",
    "rslora": "rsLoRA",
    "dora": "DoRA",
    "pissa": "PiSSA",
    "olora": "OLoRA",
    "eva": "EVA",
    "loftq": "LoftQ",
    "nf4 lora": "QLoRA",
    "nf4 dora": "QDoRA",
    "nf4 pissa": "QPiSSA",
    "bnb8 lora": "QLoRA (8-bit)",
    "attention+mlp": "attention + MLP",
    "mlp": "MLP",
}
"""How people write what run.toml writes."""


def plain_number(found: float) -> str:
    """`2e-4`, `0.05`, `16`, `1,204`, `0.812`."""
    if not math.isfinite(found):
        return "NaN" if math.isnan(found) else "inf"
    if found == int(found) and abs(found) < 1e15:
        return f"{int(found):,}"
    if 0 < abs(found) < 1e-2:
        mantissa, _, power = (
            f"{found:.3g}".partition("e") if abs(found) < 1e-4 else f"{found:.2e}".partition("e")
        )
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{mantissa}e{int(power)}" if power else mantissa
    return f"{found:.3g}"


def loss(found: float) -> str:
    """`1.82`, `0.061`, `NaN`."""
    if not math.isfinite(found):
        return "NaN"
    return f"{found:.2f}" if abs(found) >= 0.1 else f"{found:.3f}"


def short_data(path: str) -> str:
    """A dataset without its folder."""
    if path.startswith("marked:") or _MARKED.search(path):
        return "my marked replies"
    return path.removeprefix("shipped:").rstrip("/").rpartition("/")[2]


_MARKED = re.compile(r"(?:^|[/\\])marked-(?:messages|preference|kto)-[0-9a-f]{12}\.jsonl$")
"""A file that the engine wrote of them, as stored specs name it."""


def order(run: runs.RunInfo, key: str) -> tuple[int, float, str]:
    """What runs are sorted by; those without a value come last when it rises."""
    found = value(run, key)
    if found is None or found in ("", ()):
        return 1, 0.0, ""
    if isinstance(found, str | tuple):
        words = found if isinstance(found, str) else " ".join(found)
        return 0, 0.0, words.casefold()
    return 0, float(found), ""


def ordered(found: list[runs.RunInfo], key: str, *, down: bool) -> list[runs.RunInfo]:
    """Sorted by a key; what has no value stays at the end either way."""
    there = [run for run in found if order(run, key)[0] == 0]
    there.sort(key=lambda run: order(run, key), reverse=down)
    return there + [run for run in found if order(run, key)[0] == 1]
