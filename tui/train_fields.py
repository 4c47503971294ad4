"""The fields of the train form: their words, their choices, and which of them stand under More. Pure."""

from __future__ import annotations

from typing import NamedTuple

from engine.api import runs

TARGETS = {"attention+mlp": "attention + MLP", "attention": "attention", "mlp": "MLP"}
BY_PATTERN = "pattern"
"""The choice of targets that stands for the pattern under More."""
SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant"}
SWITCH = {"off": "off", "on": "on"}
CHECKPOINTING = {"auto": "where it does not fit", "on": "every layer", "off": "no layer"}
OBJECTIVES = {
    "chat": "answers of chats",
    "text": "plain text",
    "dpo": "preferences by DPO",
    "orpo": "preferences by ORPO",
    "kto": "good and bad by KTO",
    "grpo": "rewards by GRPO",
}
OBJECTIVE_LINES = {
    "chat": "Learns the answers; questions only steer them.",
    "text": "Goes on with pretraining: every token is learnt.",
    "dpo": "Moves towards the chosen answer and away from the rejected one, held near the base.",
    "orpo": "As DPO without a reference: needs less memory, and learns the chosen answer too.",
    "kto": "Learns from single answers marked good or bad; they need not come in pairs.",
    "grpo": "Tries several answers to a prompt and learns those that a reward prefers; needs TRL.",
}


class Number(NamedTuple):
    """What a number field takes."""

    title: str
    low: float
    high: float
    whole: bool = True
    auto: bool = False
    """Whether an empty field, or `auto`, stands for 0: chosen by itself, or off."""
    percent: bool = False


NUMBERS: dict[str, Number] = {
    "rank": Number("Rank", 1, 1024),
    "epochs": Number("Epochs", 0, 1000, whole=False, auto=True),
    "steps": Number("Steps", 0, 1_000_000, auto=True),
    "batch": Number("Batch", 1, 1024),
    "accumulate": Number("Accumulate", 1, 4096),
    "length": Number("Length", 16, 1 << 20),
    "rate": Number("Rate", 0, 1, whole=False, auto=True),
    "eval_fraction": Number("Eval", 0, 50, whole=False, auto=True, percent=True),
    "alpha": Number("Alpha", 0, 4096, auto=True),
    "dropout": Number("Dropout", 0, 90, whole=False, auto=True, percent=True),
    "warmup": Number("Warm-up", 0, 100, whole=False, auto=True, percent=True),
    "weight_decay": Number("Weight decay", 0, 1, whole=False, auto=True),
    "clip": Number("Clip", 0, 1e6, whole=False, auto=True),
    "loraplus": Number("LoRA+ ratio", 0, 1000, whole=False, auto=True),
    "beta": Number("Beta", 0, 100, whole=False, auto=True),
    "seed": Number("Seed", 0, 2**63 - 1, auto=True),
    "early_stop": Number("Early stop", 0, 1000, auto=True),
    "eval_every": Number("Eval every", 0, 1_000_000, auto=True),
    "save_every": Number("Save every", 0, 1_000_000, auto=True),
    "limit": Number("Rows", 0, 1_000_000_000, auto=True),
}
WORDS = ("data", "name", "pattern", "eval_data", "samples", "tags")
"""Text fields that take any text."""
AUTO = {
    "steps": "auto",
    "epochs": "auto",
    "rate": "auto",
    "alpha": "auto",
    "dropout": "0",
    "warmup": "0",
    "weight_decay": "0",
    "clip": "never",
    "loraplus": "off",
    "early_stop": "never",
    "eval_every": "auto",
    "save_every": "auto",
    "seed": "0",
    "limit": "all",
    "eval_fraction": "0",
    "pattern": "as chosen above",
    "eval_data": "a share of the data, as above",
    "samples": "none",
    "tags": "none",
}
"""What stands in an empty field."""
MORE = (
    *("alpha", "dropout", "warmup", "schedule", "weight_decay", "clip", "loraplus", "beta", "packing"),
    *("checkpointing", "seed", "early_stop", "eval_every", "save_every", "limit", "eval_data", "samples"),
    *("tags", "pattern"),
)
"""Fields under More; `schedule` stands above it and is not counted there."""
WIDE = frozenset(WORDS)
_PLAIN = runs.TrainSpec("", "")
_SHORT = {
    "alpha": "alpha",
    "dropout": "dropout",
    "warmup": "warm-up",
    "weight_decay": "weight decay",
    "clip": "clip",
    "loraplus": "LoRA+",
    "beta": "beta",
    "packing": "packing",
    "checkpointing": "checkpointing",
    "seed": "seed",
    "early_stop": "early stop",
    "eval_every": "eval every",
    "save_every": "save every",
    "limit": "rows",
    "eval_data": "eval data",
    "samples": "samples",
    "tags": "tags",
}


def changed(spec: runs.TrainSpec) -> list[str]:
    """What under More is not as it comes, in words: `dropout 5 %`, `seed 7`, `peft keys`."""
    found = []
    for field, word in _SHORT.items():
        value = getattr(spec, field)
        if value == getattr(_PLAIN, field):
            continue
        number = NUMBERS.get(field)
        if isinstance(value, tuple):
            found.append(word)
        elif number is not None and number.percent:
            found.append(f"{word} {value * 100:g} %")
        elif number is not None:
            found.append(f"{word} {value:g}")
        else:
            found.append(word if value is True or field == "eval_data" else f"{word} {value}")
    if spec.targets not in TARGETS:
        found.append("targets by pattern")
    if spec.peft:
        found.append(f"peft keys ({len(spec.peft)})")
    if spec.trackers:
        found.append(", ".join(spec.trackers))
    return found
