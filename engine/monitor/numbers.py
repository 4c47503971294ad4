"""Every number of a sample with where it comes from: file or call, and unit. For people and bug reports."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import asdict

from engine.monitor.pool_words import LIMIT_SOURCE
from engine.protocol.specs import GpuSample, MonitorSample

_SECRET = re.compile(r"(?i)\b(?:GPU-|MIG-)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{32,}\b")
"""Serial numbers and ids of containers."""
_HOME = re.compile(r"/(?:home|root|Users)(?:/[^\s/:]+)?")
_USER = re.compile(r"\b(user|session|app)[-@][^\s/:]+")


class Number(NamedTuple):
    """One of them."""

    name: str
    """`ram_available`, `gpu0.gtt_used`."""
    value: float | int | None
    """In our unit; None is unknown."""
    unit: str
    source: str
    """File or call, and the unit in which it is told there."""
    why: str = ""
    """Why it is unknown."""


_MEMINFO = "/proc/meminfo: "
SOURCES: dict[str, tuple[str, str]] = {
    "ram_total": ("bytes", _MEMINFO + "MemTotal, kB"),
    "ram_available": ("bytes", _MEMINFO + "MemAvailable, kB"),
    "swap_total": ("bytes", _MEMINFO + "SwapTotal, kB"),
    "swap_used": ("bytes", _MEMINFO + "SwapTotal - SwapFree, kB"),
    "shmem": ("bytes", _MEMINFO + "Shmem, kB"),
    "shm_total": ("bytes", "statvfs of /dev/shm: f_blocks, f_frsize"),
    "shm_used": ("bytes", "statvfs of /dev/shm: f_blocks - f_bfree, f_frsize"),
    "limit": (
        "bytes",
        "cgroup: memory.max (v1: memory.limit_in_bytes), bytes, the lowest above us",
    ),
    "limit_used": ("bytes", LIMIT_SOURCE),
    "engine_rss": ("bytes", "/proc/PID/statm: resident, pages; children too"),
    "engine_mapped": ("bytes", "/proc/PID/statm: shared, pages; children too"),
    "engine_pss": ("bytes", "/proc/PID/smaps_rollup: Pss, kB; children too"),
    "cpu": ("share", "/proc/stat: time not idle, over all cores"),
    "engine_cpu": ("cores", "/proc/PID/stat: utime + stime, clock ticks; children too"),
    "cores": ("cores", "os.cpu_count"),
}
"""(unit here, source) by field of MonitorSample. Where there is no /proc, psutil tells the same."""
_PSI = "/proc/pressure/memory: {}, percent (of a container: memory.pressure)"
PRESSURE = {
    "some10": _PSI.format("some avg10"),
    "some60": _PSI.format("some avg60"),
    "full10": _PSI.format("full avg10"),
    "full60": _PSI.format("full avg60"),
}
_FDINFO = "/proc/PID/fdinfo: drm-resident-{}, KiB, else drm-memory-{}"
GPU_UNITS = {
    "vram_total": "bytes",
    "vram_used": "bytes",
    "gtt_total": "bytes",
    "gtt_used": "bytes",
    "visible_total": "bytes",
    "visible_used": "bytes",
    "ours_vram": "bytes",
    "ours_gtt": "bytes",
    "busy": "share",
    "memory_busy": "share",
    "power": "W",
    "clock": "Hz",
    "temperature": "degrees Celsius",
}
_AMD = {
    "vram_total": "mem_info_vram_total, bytes",
    "vram_used": "mem_info_vram_used, bytes",
    "gtt_total": "mem_info_gtt_total, bytes",
    "gtt_used": "mem_info_gtt_used, bytes",
    "visible_total": "mem_info_vis_vram_total, bytes",
    "visible_used": "mem_info_vis_vram_used, bytes",
    "busy": "gpu_busy_percent, percent",
    "memory_busy": "mem_busy_percent, percent",
    "power": "hwmon power1_average or power1_input, microwatts",
    "clock": "hwmon freq1_input, Hz",
    "temperature": "hwmon temp1_input, thousandths of a degree",
}
"""Files of amdgpu in sysfs, below the card's PCI device."""
_NVIDIA = {
    "vram_total": "nvmlDeviceGetMemoryInfo: total, bytes",
    "vram_used": "nvmlDeviceGetMemoryInfo: used, bytes",
    "ours_vram": "nvmlDeviceGetComputeRunningProcesses: usedGpuMemory, bytes",
    "busy": "nvmlDeviceGetUtilizationRates: gpu, percent",
    "memory_busy": "nvmlDeviceGetUtilizationRates: memory, percent",
    "power": "nvmlDeviceGetPowerUsage, milliwatts",
    "clock": "nvmlDeviceGetClockInfo, MHz",
    "temperature": "nvmlDeviceGetTemperature, degrees Celsius",
}
_APPLE = {
    "vram_total": "torch.mps.recommended_max_memory, bytes",
    "ours_vram": "torch.mps.driver_allocated_memory, bytes",
}
_INTEL = {"clock": "i915 gt_act_freq_mhz or xe act_freq, MHz", "busy": "drm-engine-* of our processes, ns"}


def numbers(sample: MonitorSample) -> tuple[Number, ...]:
    """All of them, without anything that names a person, a serial number or a container."""
    return tuple(Number(*each[:4], redacted(each[4])) for each in (*_machine(sample), *_gpus(sample)))


def redacted(text: str) -> str:
    """Without home folders, users' groups, serial numbers and ids of containers."""
    return _USER.sub(r"\1-…", _HOME.sub("~", _SECRET.sub("…", text)))


def source_of(gpu: GpuSample, field: str) -> str:
    """Where one number of a GPU comes from; empty where its maker has none."""
    if gpu.kind == "amd" and field in _AMD:
        return f"/sys/bus/pci/devices/{gpu.address or 'ADDRESS'}/{_AMD[field]}"
    if gpu.kind == "nvidia" and field in _NVIDIA:
        return f"NVML: {_NVIDIA[field]}"
    if gpu.kind == "apple":
        return _APPLE.get(field, "")
    if field == "ours_vram":
        return _FDINFO.format(*(("local0",) * 2 if gpu.kind == "intel" else ("vram",) * 2))
    if field == "ours_gtt":
        return _FDINFO.format(*(("system0",) * 2 if gpu.kind == "intel" else ("gtt",) * 2))
    return _INTEL.get(field, "") if gpu.kind == "intel" else ""


def _machine(sample: MonitorSample) -> Iterator[Number]:
    values = asdict(sample)
    for name, (unit, source) in SOURCES.items():
        yield Number(name, values[name], unit, source, sample.whys.get(name, ""))
    told = sample.pressure
    pressure = (None,) * 4 if told is None else (told.some10, told.some60, told.full10, told.full60)
    for (name, source), value in zip(PRESSURE.items(), pressure, strict=True):
        why = sample.whys.get("pressure", "the kernel does not tell") if value is None else ""
        yield Number(f"pressure.{name}", value, "percent", source, why)
    for each in sample.torch:
        source = "torch.mps" if each.device == "mps" else "torch.cuda.memory_stats, bytes"
        for name, value in asdict(each).items():
            if isinstance(value, int):
                unit = "times" if name in ("retries", "ooms") else "bytes"
                yield Number(f"torch.{each.device}.{name}", value, unit, source)


def _gpus(sample: MonitorSample) -> Iterator[Number]:
    for place, gpu in enumerate(sample.gpus):
        values = asdict(gpu)
        for name, unit in GPU_UNITS.items():
            source = source_of(gpu, name)
            if not source:
                continue
            value = values[name]
            why = (gpu.why or "not told") if value is None else ""
            yield Number(f"gpu{place}.{name}", value, unit, source, why)
