"""`qwill monitor`: the pools first, then all else that the machine holds, each with where it comes from.

Keys of `--json`, which stay as they are: docs/memory.md lists them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence

from engine.api import memory, specs
from tui.cli import machine_samples, output
from tui.format import percent, size

POOL_HEADER = ("pool", "used", "ours", "others", "can grow to", "of", "from")
HEADER = ("what", "used", "of", "from")
UNKNOWN = "-"
MARK, BESIDE = "▸", "·"
"""Before the pool that models are computed in, and before the others."""
Table = Sequence[tuple[str, ...]]
MARKS = {"calm": "calm", "warn": "! short", "critical": "!! very short"}
"""Strain in words that need no colour."""
SOURCES = {
    "ram": "/proc/meminfo: MemTotal - MemAvailable, kB, with the files that the engine maps",
    "swap": "/proc/meminfo: SwapTotal - SwapFree, kB",
    "cpu": "/proc/stat: time not idle, over all cores",
    "engine": "/proc/PID/statm: resident, pages; children too",
    "engine_cpu": "/proc/PID/stat: user and system time",
    "pressure": "/proc/pressure/memory: some and full avg10, percent",
    "strain": "pressure, available memory and growth of swap; told by a running engine",
    "shm": "statvfs of /dev/shm, bytes",
}
ELSEWHERE = dict.fromkeys(SOURCES, "psutil")
"""Where there is no /proc."""
BUSY = {
    "nvidia": "NVML: nvmlDeviceGetUtilizationRates, percent",
    "amd": "amdgpu sysfs: gpu_busy_percent",
    "intel": "DRM fdinfo: drm-engine-*, ns",
}


def run(args: argparse.Namespace) -> int:
    """Print the machine once, or a line a second until Ctrl+C. Starts no engine."""
    if args.explain:
        from tui.cli import monitor_words

        return monitor_words.run(args)
    if args.once:
        _show(*asyncio.run(machine_samples.one()), as_json=args.json)
        return 0
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_follow(as_json=args.json))
    return 0


async def _follow(*, as_json: bool) -> None:
    async for sample, engine in machine_samples.stream():
        if as_json:
            output.say_json(output.plain(sample) | {"engine_pid": engine})
        else:
            output.say(line(sample, engine))
        sys.stdout.flush()


def _show(sample: specs.MonitorSample, engine: int | None, *, as_json: bool) -> None:
    if as_json:
        output.say_json(facts(sample, engine))
        return
    pools, others = [POOL_HEADER, *pool_rows(sample)], [HEADER, *rows(sample, engine)]
    if sys.stdout.isatty() and max(_width(pools), _width(others)) > shutil.get_terminal_size().columns:
        _show_narrow(sample, pools, others)
    else:
        output.table(pools, right=range(1, 6))
        print()
        output.table(others, right=(1, 2))
        print()
    for words in remarks(sample):
        output.say(words)


def _show_narrow(sample: specs.MonitorSample, pools: Table, others: Table) -> None:
    """Where the names and sources do not fit beside the numbers they stand below them."""
    short = ["pool", *(f"{MARK if pool.main else BESIDE} {pool.id}" for pool in sample.pools)]
    output.table([(name, *row[1:-1]) for name, row in zip(short, pools, strict=True)], right=range(1, 6))
    print()
    output.table([row[:-1] for row in others], right=(1, 2))
    print()
    for pool, row in zip(sample.pools, pools[1:], strict=True):
        output.say(f"{pool.id}: {row[0].removeprefix(MARK).removeprefix(BESIDE).strip()}, from {row[-1]}")
    for row in others[1:]:
        output.say(f"{row[0]}: {row[-1]}")
    print()


def _width(table: Table) -> int:
    """Cells that a table takes, two between its columns; sources and names are plain text."""
    return sum(max(map(len, column)) + 2 for column in zip(*table, strict=True)) - 2


def facts(sample: specs.MonitorSample, engine: int | None) -> dict[str, object]:
    """The sample as `--json` has it, in bytes, with its sources and the engine's process."""
    return output.plain(sample) | {"engine_pid": engine, "sources": _sources() | {"gpus": {"busy": BUSY}}}


def pool_rows(sample: specs.MonitorSample) -> list[tuple[str, ...]]:
    """A line for each pool, the main one first; they overlap and have no sum."""
    return [
        (
            pool_name(pool),
            _known(pool.used),
            _known(pool.ours),
            _known(pool.others),
            _known(pool.ceiling),
            _known(pool.total),
            pool.source,
        )
        for pool in sample.pools
    ]


def pool_name(pool: memory.Pool) -> str:
    """`▸` before the one that models are computed in; whether that was measured behind it."""
    whose = f"{pool.gpu}: " if pool.gpu else ""
    basis = f" [{pool.basis}]" if pool.main and (pool.gpu or pool.basis == "measured") else ""
    return f"{MARK if pool.main else BESIDE} {whose}{pool.name}{basis}"


def rows(sample: specs.MonitorSample, engine: int | None) -> list[tuple[str, ...]]:
    """A line for each other number."""
    sources = _sources()
    found: list[tuple[str, ...]] = [
        ("strain", MARKS[sample.strain.level], UNKNOWN, sources["strain"]),
        ("programs waited", *_waited(sample.pressure), sources["pressure"]),
        ("swap", size(sample.swap_used), size(sample.swap_total), sources["swap"]),
        ("CPU", percent(sample.cpu), _cores(sample.cores), sources["cpu"]),
    ]
    if engine is None:
        found.append(("engine", UNKNOWN, UNKNOWN, "none is running"))
    else:
        cores = f"{sample.engine_cpu:.1f}"
        found.append(("engine", size(sample.engine_rss), size(sample.ram_total), sources["engine"]))
        found.append(("engine CPU", cores, _cores(sample.cores), sources["engine_cpu"]))
    if sample.shm_total is not None:
        found.append(("/dev/shm", _known(sample.shm_used), size(sample.shm_total), sources["shm"]))
    for gpu in sample.gpus:
        busy = UNKNOWN if gpu.busy is None else percent(gpu.busy)
        found.append((f"{gpu.name} load", busy, UNKNOWN, BUSY.get(gpu.kind, "not told")))
    return found if sample.gpus else [*found, ("GPU", UNKNOWN, UNKNOWN, "no driver tells of one")]


def remarks(sample: specs.MonitorSample) -> Iterator[str]:
    """What is to be said beside the numbers: reasons for dashes, what holds the bytes, what is short."""
    if sample.strain.why:
        yield f"Memory: {sample.strain.why}"
    if held := held_words(sample):
        yield f"Held: {held}"
    for pool in sample.pools:
        if pool.why:
            yield f"{f'{pool.gpu}: ' if pool.gpu else ''}{pool.name}: {pool.why}"
    said = {pool.why for pool in sample.pools}
    for gpu in sample.gpus:
        if gpu.why and gpu.why not in said:
            yield f"{gpu.name}: {gpu.why}"
    for name, why in sample.whys.items():
        yield f"{name}: {why}"


def held_words(sample: specs.MonitorSample) -> str:
    """`model 1.2 G (demo), cache 96 M`: what the engine's bytes are, where it says so."""
    parts = []
    for each in sample.holdings:
        label = f" ({each.label})" if each.label else ""
        parts.append(f"{each.part} {size(each.bytes)}{label}")
    return ", ".join(parts)


def line(sample: specs.MonitorSample, engine: int | None) -> str:
    """All of it in one line, for a log."""
    parts = [time.strftime("%H:%M:%S", time.localtime(sample.at))]
    for pool in sample.pools:
        ours = f" (ours {size(pool.ours)})" if pool.ours else ""
        parts.append(f"{_short(pool)} {_of(pool.used, pool.total)}{ours}")
    if sample.swap_used:
        parts.append(f"swap {_of(sample.swap_used, sample.swap_total)}")
    if sample.pressure is not None and sample.pressure.some10 >= 1:
        parts.append(f"waited {percent(sample.pressure.some10 / 100)}")
    if sample.strain.level != "calm":
        parts.append(f"memory {MARKS[sample.strain.level]}")
    parts.append(f"CPU {percent(sample.cpu)}")
    if engine is not None:
        parts.append(f"engine {size(sample.engine_rss)}, {sample.engine_cpu:.1f} cores")
    return " · ".join(parts)


def _short(pool: memory.Pool) -> str:
    """`Radeon 780M GTT`: which pool it is, in a log's line."""
    return f"{pool.gpu} {pool.kind.upper()}".strip() if pool.kind != "unified" else f"{pool.gpu} memory"


def _waited(pressure: memory.Pressure | None) -> tuple[str, str]:
    """The share of ten seconds in which some program waited for memory, and in which all did."""
    if pressure is None:
        return UNKNOWN, UNKNOWN
    return f"{pressure.some10:.1f} %", f"all {pressure.full10:.1f} %"


def _sources() -> dict[str, str]:
    return SOURCES if os.path.exists("/proc/meminfo") else ELSEWHERE


def _cores(count: int) -> str:
    return f"{count} core" + ("" if count == 1 else "s")


def _known(bytes_: int | None) -> str:
    return UNKNOWN if bytes_ is None else size(bytes_)


def _of(used: int | None, total: int | None) -> str:
    return f"{_known(used)} of {_known(total)}"
