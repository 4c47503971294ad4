"""`qwill monitor`: what the machine holds, with where each number comes from."""

from __future__ import annotations

import argparse
import os
import sys
import time

from msgspec.structs import replace

from engine.api import lock_holder, machine_sampler, specs
from tui.cli import output
from tui.format import percent, size

SETTLE_SECONDS = 0.25
"""Over which `--once` measures the CPU."""
HEADER = ("what", "used", "of", "from")
NUMBERS = (1, 2)
"""Columns that are aligned on the right."""
SOURCES = {
    "ram": "/proc/meminfo: MemTotal - MemAvailable",
    "swap": "/proc/meminfo: SwapTotal - SwapFree",
    "cpu": "/proc/stat: time not idle, over all cores",
    "engine": "/proc/PID/statm: resident, children too",
    "engine_cpu": "/proc/PID/stat: user and system time",
}
ELSEWHERE = dict.fromkeys(SOURCES, "psutil")
"""Where there is no /proc."""
GPU_SOURCES = {
    "nvidia": {"vram": "NVML: nvmlDeviceGetMemoryInfo", "busy": "NVML: nvmlDeviceGetUtilizationRates"},
    "amd": {
        "vram": "amdgpu sysfs: mem_info_vram_used, _total",
        "gtt": "amdgpu sysfs: mem_info_gtt_used, _total",
        "busy": "amdgpu sysfs: gpu_busy_percent",
    },
}


def run(args: argparse.Namespace) -> int:
    """Print the machine once, or a line a second until Ctrl+C. Starts no engine."""
    engine = lock_holder()
    sampler = machine_sampler(engine)
    if args.once:
        time.sleep(SETTLE_SECONDS)
        sample = _sampled(sampler.sample(), engine)
        if args.json:
            output.say_json(facts(sample, engine))
        else:
            output.table([HEADER, *rows(sample, engine)], right=NUMBERS)
        return 0
    try:
        while True:
            time.sleep(1.0)
            sample = _sampled(sampler.sample(), engine)
            if args.json:
                output.say_json(output.plain(sample))
            else:
                output.say(line(sample, engine))
            sys.stdout.flush()
            if lock_holder() != engine:
                engine = lock_holder()
                sampler = machine_sampler(engine)
    except KeyboardInterrupt:
        return 0


def facts(sample: specs.MonitorSample, engine: int | None) -> dict[str, object]:
    """The sample as `--json` has it, in bytes, with its sources and the engine's process."""
    return output.plain(sample) | {"engine_pid": engine, "sources": _sources() | {"gpus": GPU_SOURCES}}


def rows(sample: specs.MonitorSample, engine: int | None) -> list[tuple[str, str, str, str]]:
    """A line for each number."""
    sources = _sources()
    ram = sample.ram_total - sample.ram_available
    found = [
        ("RAM", size(ram), size(sample.ram_total), sources["ram"]),
        ("swap", size(sample.swap_used), size(sample.swap_total), sources["swap"]),
        ("CPU", percent(sample.cpu), _cores(sample.cores), sources["cpu"]),
    ]
    if engine is None:
        found.append(("engine", "-", "-", "none is running"))
    else:
        cores = f"{sample.engine_cpu:.1f}"
        found.append(("engine", size(sample.engine_rss), size(sample.ram_total), sources["engine"]))
        found.append(("engine CPU", cores, _cores(sample.cores), sources["engine_cpu"]))
    for gpu in sample.gpus:
        found += _gpu_rows(gpu)
    return found if sample.gpus else [*found, ("GPU", "-", "-", "no driver tells of one")]


def line(sample: specs.MonitorSample, engine: int | None) -> str:
    """All of it in one line, for a log."""
    parts = [
        time.strftime("%H:%M:%S", time.localtime(sample.at)),
        f"RAM {_of(sample.ram_total - sample.ram_available, sample.ram_total)}",
        f"swap {_of(sample.swap_used, sample.swap_total)}",
        f"CPU {percent(sample.cpu)}",
    ]
    if engine is not None:
        parts.append(f"engine {size(sample.engine_rss)}, {sample.engine_cpu:.1f} cores")
    for gpu in sample.gpus:
        parts.append(f"{gpu.name} VRAM {_of(gpu.vram_used, gpu.vram_total)}")
        if gpu.gtt_total is not None:
            parts.append(f"GTT {_of(gpu.gtt_used, gpu.gtt_total)}")
    return " · ".join(parts)


def _gpu_rows(gpu: specs.GpuSample) -> list[tuple[str, str, str, str]]:
    """VRAM and GTT are two pools: their sum is nothing that exists."""
    sources = GPU_SOURCES.get(gpu.kind, {})
    found = [(f"{gpu.name} VRAM", _known(gpu.vram_used), _known(gpu.vram_total), sources.get("vram", ""))]
    if gpu.gtt_total is not None or gpu.kind == "amd":
        found.append((f"{gpu.name} GTT", _known(gpu.gtt_used), _known(gpu.gtt_total), sources.get("gtt", "")))
    busy = "-" if gpu.busy is None else percent(gpu.busy)
    found.append((f"{gpu.name} load", busy, "-", sources.get("busy", "")))
    if gpu.why:
        found.append((gpu.name, "-", "-", gpu.why))
    return found


def _sampled(sample: specs.MonitorSample, engine: int | None) -> specs.MonitorSample:
    """Without an engine the sampler counted this process as one."""
    return sample if engine is not None else replace(sample, engine_rss=0, engine_cpu=0.0)


def _sources() -> dict[str, str]:
    return SOURCES if os.path.exists("/proc/meminfo") else ELSEWHERE


def _cores(count: int) -> str:
    return f"{count} core" + ("" if count == 1 else "s")


def _known(bytes_: int | None) -> str:
    return "-" if bytes_ is None else size(bytes_)


def _of(used: int | None, total: int | None) -> str:
    return f"{_known(used)} of {_known(total)}"
