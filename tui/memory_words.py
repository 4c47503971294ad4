"""Memory in words: what a pool is called on this machine, what holds it, how short it is. Pure."""

from __future__ import annotations

import re

from engine.api import memory, specs
from tui.format import gib, percent, size
from tui.text import clean, clean_name

_MAKERS = frozenset(
    (
        "advanced",
        "micro",
        "devices",
        "inc",
        "amd",
        "ati",
        "nvidia",
        "corporation",
        "intel",
        "apple",
        "geforce",
    )
) | {"radeon", "graphics", "gpu", "laptop"}
"""Words of a GPU's name that its owner would leave out."""
_TRADE = re.compile(r"\((?:R|TM|C)\)|[®™©]", re.IGNORECASE)
PARTS: dict[memory.Part, str] = {
    "model": "model",
    "cache": "cache",
    "adapter": "adapter",
    "optimiser": "optimiser",
    "activations": "activations",
    "other": "other",
}
GLYPHS: dict[memory.Part, str] = {
    "model": "█",
    "cache": "▓",
    "adapter": "▚",
    "optimiser": "▒",
    "activations": "░",
    "other": "·",
}
"""What each part is drawn with: told apart without colour."""
_PLACES: dict[memory.PoolKind, str] = {
    "ram": "RAM",
    "gtt": "RAM lent to the GPU",
    "vram": "GPU memory",
    "unified": "memory of CPU and GPU",
}
LABELS: dict[memory.PoolKind, str] = {"ram": "RAM", "gtt": "GTT", "vram": "VRAM", "unified": "all"}
"""A pool where there is room for six letters."""
SET_ASIDE = "set aside by the firmware"
UNKNOWN = "–"
NOTABLE = 1.0
"""Percent of waiting from which on it is told while memory is calm."""


def gpu_word(name: str) -> str:
    """`780M` of `AMD Radeon 780M Graphics`: the name without its maker, where something is left."""
    words = [_TRADE.sub("", word) for word in clean_name(name).split()]
    kept = [word for word in words if word.lower().strip("[](),.") not in _MAKERS]
    return " ".join(kept or words)


def place_words(pool: memory.Pool, room: int = 60) -> str:
    """`780M, RAM lent to the GPU (GTT)`: the longest form that fits, cut where none does."""
    what = clean_name(pool.name) or _PLACES[pool.kind]
    short = what.partition(" (")[0]
    brief = short.replace("to the GPU", "to GPU").replace("of the GPU", "of GPU")
    gpu = gpu_word(pool.gpu)
    forms = [f"{gpu}, {each}" if gpu and pool.kind != "ram" else each for each in (what, short, brief)]
    for form in (*forms, brief):
        if len(form) <= room:
            return form
    return forms[-1][: max(0, room - 1)] + "…"


def is_set_aside(pool: memory.Pool, sample: specs.MonitorSample) -> bool:
    """Whether it is RAM that the firmware gave to the GPU and that models are not computed in: full or
    not, it says nothing."""
    if pool.kind != "vram" or pool.main:
        return False
    gpu = gpu_of(pool, sample)
    return SET_ASIDE in pool.name or (gpu is not None and gpu.integrated is True)


def gpu_of(pool: memory.Pool, sample: specs.MonitorSample) -> specs.GpuSample | None:
    """The GPU whose pool it is: `gpu0.gtt` is the first one's."""
    head = pool.id.partition(".")[0]
    if not head.startswith("gpu") or not head[3:].isdecimal():
        return None
    number = int(head[3:])
    return sample.gpus[number] if number < len(sample.gpus) else None


def amount(count: int | None) -> str:
    """GiB with one digit; a dash for what is not known."""
    return UNKNOWN if count is None else gib(count)


def basis_words(pool: memory.Pool) -> str:
    """How it is known that this pool is what its row says; of RAM only a measurement is worth a word."""
    return "" if pool.kind == "ram" and pool.basis == "assumed" else pool.basis


def waiting_words(pressure: memory.Pressure | None) -> str:
    """`programs waited 12 % of the time`: the kernel's pressure of memory; empty where it tells of none."""
    if pressure is None:
        return ""
    if pressure.full10 >= NOTABLE:
        return f"all waited {percent(pressure.full10 / 100)} of 10 s"
    return f"waited {percent(pressure.some10 / 100)} of 10 s"


def strain_words(sample: specs.MonitorSample) -> tuple[str, bool]:
    """How short memory is in a few words, and whether they are a warning."""
    level, pressure = sample.strain.level, sample.pressure
    if level == "calm":
        notable = pressure is not None and pressure.some10 >= NOTABLE
        return (f"calm, {waiting_words(pressure)}" if notable else "calm"), False
    return ("very short" if level == "critical" else "short"), True


def times_less(one: int, other: int) -> str:
    """`4.0 times less` or `more` of the second against the first; empty where one is nothing."""
    if one <= 0 or other <= 0:
        return ""
    if abs(one - other) * 100 < max(one, other):
        return "as much"
    ratio = max(one, other) / min(one, other)
    return f"{ratio:.{1 if ratio < 100 else 0}f} times {'less' if other < one else 'more'}"


def parts_of(holdings: tuple[memory.Holding, ...], pool: str = "") -> dict[memory.Part, int]:
    """Bytes by part, those of a pool where it is named; in the order in which they are drawn."""
    kept = [each for each in holdings if not pool or not each.pool or each.pool == pool]
    totals = {part: sum(each.bytes for each in kept if each.part == part) for part in PARTS}
    return {part: total for part, total in totals.items() if total > 0}


def all_parts(holdings: tuple[memory.Holding, ...], ours: int | None) -> dict[memory.Part, int]:
    """Bytes by part, which add up to ours: `other` is what no part has. None at all without holdings."""
    parts = parts_of(holdings)
    if ours is not None and parts:
        # Pages that programs share count for ours in part, and in full where they are counted one by one.
        parts["other"] = max(0, ours - sum(held for part, held in parts.items() if part != "other"))
    return {part: held for part, held in parts.items() if held}


def labels_of(holdings: tuple[memory.Holding, ...], part: memory.Part) -> str:
    """`demo, Qwen3-1.7B`: what the bytes of a part belong to."""
    found = [clean_name(each.label) for each in holdings if each.part == part and each.label]
    return ", ".join(dict.fromkeys(found))


def memory_sentences(sample: specs.MonitorSample) -> list[str]:
    """All of it as plain lines, for where there is no screen."""
    said = [_pool_sentence(pool, sample) for pool in sample.pools]
    if not said:
        said = [f"The engine holds {size(sample.engine_rss)}.", _ram_sentence(sample)]
        said += [_gpu_sentence(gpu) for gpu in sample.gpus if gpu.vram_total]
    held = [f"{PARTS[part]} {size(held)}" for part, held in parts_of(sample.holdings).items()]
    said += [f"Held by: {', '.join(held)}."] if held else []
    swap = f"{size(sample.swap_used)} of {size(sample.swap_total)}" if sample.swap_used else "0"
    words, warns = strain_words(sample)
    why = clean(sample.strain.why).rstrip(".")
    return [*said, f"Swap: {swap}.", f"{why}." if warns and why else f"Memory is {words}."]


def _pool_sentence(pool: memory.Pool, sample: specs.MonitorSample) -> str:
    """`780M, RAM lent to the GPU (GTT), measured: ours 6.1 of 15.2 G, others 0.9 G.`"""
    title = place_words(pool, 200)
    if is_set_aside(pool, sample):
        return f"{title}: {amount(pool.total)} G."
    if pool.used is None:
        return f"{title}: {UNKNOWN} {clean(pool.why)}".rstrip()
    basis = f", {basis_words(pool)}" if basis_words(pool) else ""
    most = f" of {gib(pool.ceiling)}" if pool.ceiling is not None else ""
    return f"{title}{basis}: ours {amount(pool.ours)}{most} G, others {amount(pool.others)} G."


def _ram_sentence(sample: specs.MonitorSample) -> str:
    used = sample.ram_total - sample.ram_available
    return f"RAM: {gib(used)} of {gib(sample.ram_total)} G in use."


def _gpu_sentence(gpu: specs.GpuSample) -> str:
    used = amount(gpu.vram_used)
    return f"{clean_name(gpu.name)}: {used} of {amount(gpu.vram_total)} G in use."
