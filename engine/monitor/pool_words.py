"""What pools are called in a machine's own terms, and where their numbers come from."""

from __future__ import annotations

from engine.protocol.specs import GpuSample

LENT = "RAM lent to the GPU (GTT)"
SPILL = "RAM lent to the GPU (GTT), where it spills"
BORROWED = "RAM that the GPU borrowed (GTT), slow"
SET_ASIDE = "set aside by the firmware"
MAPPED = "RAM mapped by the GPU"
LIMIT_SOURCE = "cgroup: memory.current less inactive_file (v1: memory.usage_in_bytes), bytes"
CARVE_OUT = "RAM set aside for the GPU (VRAM)"


def source_of(gpu: GpuSample, kind: str) -> str:
    """File or call, and unit, of what a GPU's pool holds."""
    if gpu.kind == "nvidia":
        return "NVML: nvmlDeviceGetMemoryInfo used, bytes"
    if gpu.kind == "amd":
        file = f"mem_info_{kind}_used, bytes"
        return f"/sys/bus/pci/devices/{gpu.address}/{file}" if gpu.address else f"amdgpu in sysfs: {file}"
    if gpu.kind == "intel":
        return "DRM fdinfo of our processes: drm-resident-vram0, KiB"
    return "psutil: virtual_memory, bytes"


def ram_source(maker: str) -> str:
    """The same of RAM."""
    if maker == "apple":
        return "psutil: virtual_memory total - available, bytes"
    return "/proc/meminfo: MemTotal - MemAvailable, kB, with the files that the engine maps"
