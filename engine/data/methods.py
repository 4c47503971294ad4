"""What each way of training does, in one line; its rates; presets by memory. Pure data and arithmetic."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from engine.protocol.errors import fault
from engine.protocol.training import Method, TrainSpec

METHOD_LINES: Mapping[Method, str] = MappingProxyType(
    {
        "lora": "Two thin matrices beside each layer learn; small, robust, the place to start",
        "rslora": "LoRA scaled by the root of the rank, so that high ranks (64 and up) still learn",
        "dora": "LoRA that learns the length of each row apart; often a little better, slower",
        "pissa": "LoRA that starts from the weights' main directions; learns faster from the first steps",
        "olora": "LoRA that starts from orthogonal directions of the weights; a cheaper PiSSA",
        "eva": "LoRA that starts from the main directions of your data; looks at a few batches first",
        "loftq": "LoRA that starts from what 4-bit packing lost; needs a GPU",
        "full": "All weights learn; for small models, and takes about eight times their memory",
    }
)
"""One line for each method: what it does, and when it is the one."""
QUANT_LINES: Mapping[str, str] = MappingProxyType(
    {
        "": "The base as it is: the fastest, and the most exact",
        "nf4": "The base in 4 bits: about a quarter of the memory, slower on a CPU",
        "bnb8": "The base in 8 bits: about half of the memory, slower on a CPU",
    }
)
"""One line for each way to hold the base."""
PRESETS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "tiny": MappingProxyType(
            {
                "method": "lora",
                "quant": "nf4",
                "rank": 8,
                "batch": 1,
                "accumulate": 8,
                "length": 512,
                "checkpointing": "on",
            }
        ),
        "balanced": MappingProxyType(
            {
                "method": "lora",
                "quant": "",
                "rank": 16,
                "batch": 4,
                "accumulate": 1,
                "length": 1024,
                "checkpointing": "auto",
            }
        ),
        "quality": MappingProxyType(
            {
                "method": "dora",
                "quant": "",
                "rank": 32,
                "batch": 4,
                "accumulate": 4,
                "length": 2048,
                "checkpointing": "auto",
            }
        ),
    }
)
"""Fields of a TrainSpec by preset; all presets name the same fields, so that one replaces another."""
PRESET_LINES: Mapping[str, str] = MappingProxyType(
    {
        "tiny": "Least memory: a 7B model in 8 GB of shared memory, one short row at a time",
        "balanced": "LoRA on the whole base; right for most models and data",
        "quality": "DoRA at a higher rank, longer rows and larger batches; slower",
    }
)
"""One line for each preset: what it is for."""
MUTATING: frozenset[Method] = frozenset({"pissa", "olora", "loftq"})
"""Methods whose start moves part of the base's weights into the adapter."""

RATES = ((50_000_000, 4e-3), (500_000_000, 5e-4))
"""Peak rates of adapters by the parameters that a model has at most; small models need larger steps."""
LARGE_RATE = 2e-4
FULL_RATES = ((50_000_000, 1e-3), (500_000_000, 5e-5))
"""Of full fine-tuning, where each step moves every weight."""
FULL_LARGE_RATE = 1e-5
BAND = 8.0
"""How many times the default a rate may be, or a share of it, before a person is told."""
RSLORA_ALPHA = 16
"""rsLoRA's scale is alpha over the root of the rank, so that alpha need not grow with the rank."""


def default_rate(method: Method, parameters: int) -> float:
    """Peak learning rate of a method on a model of so many parameters."""
    rates, large = (FULL_RATES, FULL_LARGE_RATE) if method == "full" else (RATES, LARGE_RATE)
    return next((rate for limit, rate in rates if parameters <= limit), large)


def default_alpha(method: Method, rank: int) -> int:
    """Twice the rank, but for rsLoRA."""
    return RSLORA_ALPHA if method == "rslora" else 2 * rank


def rate_warning(spec: TrainSpec, parameters: int) -> str:
    """One sentence when a rate is far from what the method needs on such a model; else empty."""
    usual = default_rate(spec.method, parameters)
    if not spec.rate or usual / BAND <= spec.rate <= usual * BAND:
        return ""
    name = title(spec)
    if spec.rate > usual:
        return (
            f"A rate of {spec.rate:g} is high for {name} on this model, and may diverge; {usual:g} is usual"
        )
    what = "a rate of full fine-tuning" if spec.method != "full" and spec.rate <= 5e-5 else "low"
    return f"A rate of {spec.rate:g} is {what}, and {name} may learn nothing; {usual:g} is usual"


def title(spec: TrainSpec) -> str:
    """The method as people call it, e.g. QLoRA (4-bit), PiSSA, full fine-tuning."""
    return method_title(spec.method, spec.quant)


_TITLES: Mapping[Method, str] = MappingProxyType(
    {
        "lora": "LoRA",
        "rslora": "rsLoRA",
        "dora": "DoRA",
        "pissa": "PiSSA",
        "olora": "OLoRA",
        "eva": "EVA",
        "loftq": "LoftQ",
        "full": "full fine-tuning",
    }
)


def short_name(spec: TrainSpec) -> str:
    """For a run's name, e.g. r16, qlora-r16, dora-r8, full."""
    if spec.method == "full":
        return "full"
    word = f"q{spec.method}" if spec.quant and spec.method != "loftq" else spec.method
    return f"r{spec.rank}" if word == "lora" else f"{word}-r{spec.rank}"


def check_method(spec: TrainSpec) -> None:
    """Raises EngineError `spec_wrong` for fields that do not go together."""
    for wrong, title_, detail, remedy in _rules(spec):
        if wrong:
            raise fault("spec_wrong", title_, detail, remedy)
    if spec.targets not in TARGETS:
        try:
            re.compile(spec.targets)
        except re.error as error:
            raise fault(
                "spec_wrong",
                f"targets is {spec.targets!r}, which is no pattern",
                str(error),
                f"Use {', '.join(TARGETS)}, or a regular expression over whole paths",
            ) from error


DEVICE = re.compile(r"(auto|cpu|mps|cuda(:\d{1,3})?)?")
"""Names of devices; whether one exists here is known where torch is."""
TARGETS = ("attention", "mlp", "attention+mlp", "all-linear")
"""Names of groups of layers; anything else is a pattern."""


def _rules(spec: TrainSpec) -> tuple[tuple[bool, str, str, str], ...]:
    """Whether each rule is broken, with the words for it."""
    full = spec.method == "full"
    return (
        (
            full and bool(spec.quant),
            f"full fine-tuning does not go with quant {spec.quant}",
            "Packed weights cannot learn",
            "Leave `quant` out, or set `method` to lora",
        ),
        (
            full and bool(spec.peft or spec.loraplus or spec.dropout),
            "peft, loraplus and dropout belong to adapters, and full fine-tuning has none",
            "",
            "Leave them out, or set `method` to lora",
        ),
        (
            spec.method == "loftq" and spec.quant == "bnb8",
            "loftq starts from what 4-bit packing loses, and quant is bnb8",
            "",
            "Set `quant` to nf4, or leave it out",
        ),
        (
            spec.method == "dora" and spec.quant == "bnb8",
            "dora does not work on an 8-bit base",
            "bitsandbytes lets go of the scales that its lengths are computed from",
            "Set `quant` to nf4, or `method` to lora",
        ),
        (
            spec.method in MUTATING and spec.objective in ("dpo", "kto"),
            f"{spec.method} cannot learn from preferences by {spec.objective}",
            "It moves part of the base into the adapter, and the base is what answers are compared with",
            "Set `method` to lora, rslora, dora or eva",
        ),
        (
            spec.objective == "kto" and spec.batch < 2,
            "kto needs at least two rows in a batch, and batch is 1",
            "It compares each row with an answer of another one",
            "Set `batch` to 2 or more",
        ),
        (
            spec.packing and spec.objective in ("dpo", "orpo", "kto"),
            f"packing does not go with {spec.objective}",
            "Its answers are judged one by one, each in a sequence of its own",
            "Leave `packing` out",
        ),
        (
            not DEVICE.fullmatch(spec.device),
            f"device is {spec.device!r}, which names no device",
            "",
            "Set it to cpu, mps, cuda or cuda:1; leave it out for the one with most free memory",
        ),
        (
            spec.dtype not in ("", "float32", "bfloat16"),
            f"dtype is {spec.dtype!r}, which no run learns in",
            "",
            "Set it to float32 or bfloat16; leave it out for what this machine does fast",
        ),
    )


def method_title(method: Method, quant: str) -> str:
    """As `title`, from a method and how its base is held."""
    name = _TITLES[method]
    if not quant or method == "loftq":
        return name
    return f"Q{name} ({'4-bit' if quant == 'nf4' else '8-bit'})"
