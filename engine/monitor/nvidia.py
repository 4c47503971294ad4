"""NVIDIA GPUs, read through NVML by the package nvidia-ml-py where it is installed."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from engine.protocol.specs import GpuSample

DRIVER = Path("/proc/driver/nvidia/version")
"""Exists while the kernel driver is loaded."""
_NO_PACKAGE = "Install the package nvidia-ml-py to see its memory"


class NvidiaReader:
    """Reads every NVIDIA GPU. `module` (pynvml's interface) and `driver` are given by tests."""

    def __init__(self, module: Any = None, driver: Path = DRIVER) -> None:
        self._driver = driver
        self._nvml = module if module is not None else _load()
        self._trouble = ""
        self._started = False

    def read(self) -> list[GpuSample]:
        """One sample a GPU; empty without the driver. Never raises: what NVML refuses is None, with `why`."""
        if self._nvml is None:
            return [GpuSample("NVIDIA GPU", "nvidia", why=_NO_PACKAGE)] if self._driver.exists() else []
        try:
            if not self._started:
                self._nvml.nvmlInit()
                self._started = True
            return [self._device(number) for number in range(self._nvml.nvmlDeviceGetCount())]
        except self._errors() as error:
            if not self._driver.exists():
                return []
            return [GpuSample("NVIDIA GPU", "nvidia", why=f"NVML failed: {error}")]

    def _device(self, number: int) -> GpuSample:
        nvml = self._nvml
        trouble: list[str] = []
        name, total, used, busy = "NVIDIA GPU", None, None, None
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(number)
            label = nvml.nvmlDeviceGetName(handle)
            name = label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label)
        except self._errors() as error:
            return GpuSample(name, "nvidia", why=f"NVML failed: {error}")
        try:
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            total, used = int(memory.total), int(memory.used)
        except self._errors() as error:
            trouble.append(f"no memory counter ({error})")
        try:
            busy = nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
        except self._errors() as error:
            trouble.append(f"no load counter ({error})")
        why = f"NVML has {' and '.join(trouble)} for it" if trouble else ""
        return GpuSample(name, "nvidia", vram_total=total, vram_used=used, busy=busy, why=why)

    def _errors(self) -> tuple[type[Exception], ...]:
        return (self._nvml.NVMLError, OSError, ValueError, AttributeError, TypeError)


def _load() -> Any:
    try:
        return importlib.import_module("pynvml")
    except (ImportError, OSError):
        return None
