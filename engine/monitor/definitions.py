"""What "shared memory" means on each kind of machine, and on this one. Text for help; pure."""

from __future__ import annotations

from typing import NamedTuple

from engine.monitor.pool_words import BORROWED, CARVE_OUT, LENT, MAPPED, SET_ASIDE, SPILL
from engine.monitor.words import gib
from engine.protocol.memory import Pool
from engine.protocol.specs import MonitorSample


class Definition(NamedTuple):
    """One row of the table."""

    id: str
    platform: str
    shared: str
    """What "shared" means there."""
    used: str
    """The counter that tells how much is in use."""
    ceiling: str
    """How far it can grow."""
    beside: str
    """What is shown next to it; empty for nothing."""


_ROWS = {
    LENT: "amd-gtt",
    SET_ASIDE: "amd-gtt",
    CARVE_OUT: "amd-vram",
    SPILL: "amd-vram",
    MAPPED: "intel",
}
"""By the name of a pool; all others are of a card with memory of its own."""
DEFINITION_HEADER = ("platform", '"shared" means', "used", "can grow to", "beside it")
"""Titles of the columns, in the order of a Definition's fields after `id`."""
DEFINITIONS = (
    Definition(
        "amd-gtt",
        "AMD APU, GTT mode",
        "RAM lent to the GPU (GTT)",
        "mem_info_gtt_used; ours: drm-resident-gtt",
        "the least of GTT's total and available RAM with ours",
        "what the firmware set aside, a small pool",
    ),
    Definition(
        "amd-vram",
        "AMD APU, VRAM mode",
        "RAM that the firmware set aside, which the CPU lost",
        "mem_info_vram_used; ours: drm-resident-vram",
        "VRAM's total",
        "GTT, into which it spills",
    ),
    Definition(
        "amd-managed",
        "AMD, managed memory (hipMallocManaged)",
        "ordinary RAM",
        "the engine's PSS; MemAvailable falls",
        "available RAM, memory.max of a container",
        "",
    ),
    Definition(
        "discrete",
        "AMD or NVIDIA card with its own memory",
        "RAM that the GPU borrowed because its own is full: a warning, it is slow",
        "mem_info_gtt_used",
        "GTT's total",
        "VRAM, where models belong",
    ),
    Definition(
        "intel",
        "Intel GPU in the processor",
        "all of its memory is RAM",
        "drm-resident-system of our own processes",
        "available RAM with ours",
        "",
    ),
    Definition(
        "nvidia-unified",
        "NVIDIA GB10, Jetson",
        "one memory for CPU and GPU",
        "MemTotal - MemAvailable; ours: torch's reserved bytes",
        "MemTotal, of which available RAM with ours can be had",
        "that NVML has no counter for it",
    ),
    Definition(
        "apple",
        "Apple",
        "one memory for CPU and GPU",
        "all but available memory; ours: driver_allocated_memory",
        "recommended_max_memory",
        "memory pressure",
    ),
    Definition(
        "ram",
        "no GPU that torch computes on",
        "nothing: models lie in ordinary RAM",
        "MemTotal - MemAvailable; ours: resident pages",
        "available RAM with ours, memory.max of a container",
        "swap",
    ),
    Definition(
        "windows",
        'Windows\' Task Manager, "shared GPU memory"',
        "up to half of the RAM, which Windows lends",
        "not known on Linux, where GTT is the nearest",
        "half of the RAM",
        "",
    ),
    Definition(
        "posix",
        "POSIX shared memory (/dev/shm)",
        "RAM that processes share with each other; no GPU has a part in it",
        "Shmem in /proc/meminfo",
        "the size of /dev/shm",
        "",
    ),
)
"""`windows` and `posix` are no machine's row: people bring these words along."""


class Here(NamedTuple):
    """This machine's part of the table."""

    rows: tuple[str, ...]
    """Ids of the definitions that hold here, the one of the main pool first."""
    lines: tuple[str, ...]
    """What "shared memory" means here, one sentence a line. Names of GPUs in it are untrusted text."""


def shared_here(sample: MonitorSample) -> Here:
    """In this machine's terms, by the pools of a sample."""
    told = [_row(sample, pool) for pool in sample.pools if pool.main or pool.shared]
    return Here(tuple(dict.fromkeys(told)) or ("ram",), tuple(_lines(sample)))


def _row(sample: MonitorSample, pool: Pool) -> str:
    """The definition that a pool falls under."""
    maker = next((gpu.kind for gpu in sample.gpus if gpu.name == pool.gpu), "")
    if pool.kind == "ram":
        measured = pool.basis == "measured" and any(gpu.kind == "amd" for gpu in sample.gpus)
        return "amd-managed" if pool.main and measured else "ram"
    if pool.kind == "unified":
        return "apple" if maker == "apple" else "nvidia-unified"
    return _ROWS.get(pool.name, "discrete")


def _lines(sample: MonitorSample) -> list[str]:
    main = next((pool for pool in sample.pools if pool.main), None)
    if main is None:
        return ["No memory has been read yet."]
    told = [_main(main)]
    for pool in sample.pools:
        if pool.shared and not pool.main:
            told.append(_beside(pool))
    if main.basis == "measured":
        told.append("Measured: 256 MiB were allocated once, and this pool's counter moved.")
    elif main.gpu:
        told.append("Assumed by rule: no allocation has shown it on this machine yet.")
    told.append(
        "Shmem and /dev/shm are memory that processes share with each other, and have nothing to do with it."
    )
    return told


def _main(pool: Pool) -> str:
    size = f", {gib(pool.total)} in all" if pool.total else ""
    can = f"; Qwill can grow to {gib(pool.ceiling)} now" if pool.ceiling is not None else ""
    if pool.kind == "ram":
        return f"Models lie in this machine's RAM{size}{can}. No GPU shares it with them."
    if pool.kind == "unified":
        return f'"Shared memory" is all of this machine\'s memory: {pool.gpu} and the CPU use one{size}{can}.'
    if pool.name == MAPPED:
        return f'"Shared memory" is RAM: {pool.gpu} has no other, and maps what it needs of it{size}{can}.'
    if pool.kind == "gtt":
        return (
            f'"Shared memory" is RAM that the driver lends to {pool.gpu} (GTT){size}{can}. '
            "It is RAM: what the GPU takes of it, programs cannot have."
        )
    if pool.shared:
        return (
            f'"Shared memory" is RAM that the firmware set aside for {pool.gpu}{size}{can}. '
            "The CPU has lost it, whether or not the GPU uses it."
        )
    return f"{pool.gpu} has memory of its own (VRAM){size}{can}; models lie there, and it is not shared."


def _beside(pool: Pool) -> str:
    size = gib(pool.total) if pool.total else "some"
    if pool.kind == "vram":
        return f"Besides, the firmware set {size} aside for {pool.gpu}; models do not use it."
    if pool.name == BORROWED:
        return f"Where its own memory is full, {pool.gpu} borrows RAM (GTT, at most {size}), which is slow."
    spill = ", into which it spills" if pool.name == SPILL else ""
    return f"Besides, the driver can lend {pool.gpu} {size} of RAM (GTT){spill}."
