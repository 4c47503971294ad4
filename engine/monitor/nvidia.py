"""NVIDIA GPUs, read through NVML by the package nvidia-ml-py where it is installed."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from engine.monitor.files import BOUND, Files, reasons
from engine.monitor.gpus import Used, aged
from engine.monitor.patience import Patient, ask_all
from engine.protocol.specs import GpuSample

DRIVER = "/proc/driver/nvidia/version"
"""Exists while the kernel driver is loaded."""
GPUS = "/proc/driver/nvidia/gpus"
"""One folder a GPU, named by its address on the PCI bus."""
UNIFIED = ("GB10", "N1X", "Tegra", "Xavier", "Orin", "Thor")
"""In the names of GPUs that work in the machine's RAM."""
TEGRA = "/etc/nv_tegra_release"
"""Exists on a Jetson."""
AGAIN = 10.0
"""Seconds until NVML is tried again where no driver is loaded."""
_NO_PACKAGE = "Install the package nvidia-ml-py to see its memory"
_SHARES = "It has no memory of its own and works in the machine's RAM, of which NVML does not tell"
_FIRST_NAMESPACE = "pid:[4026531836]"
"""Of the machine's own processes (kernel, include/linux/proc_ns.h): elsewhere NVML's pids are not ours."""


class NvidiaReader:
    """Reads every NVIDIA GPU, and each instance of one that is split (MIG)."""

    def __init__(
        self,
        module: Any = None,
        *,
        files: Files | None = None,
        pids: Callable[[], Sequence[int]] = tuple,
    ) -> None:
        """`module`: pynvml's interface, given by tests. `pids`: the engine's processes."""
        self._files = files or Files()
        self._nvml = module if module is not None else _load()
        self._pids = pids
        self._started = False
        self._devices: list[Device] = []
        """As of the last look."""
        self._next = 0.0
        self._whole = Patient(self._read, "NVML")
        self._fast = Patient(self._read_fast, "NVML")

    def read(self) -> list[GpuSample]:
        """One sample a GPU; empty without the driver. Never raises: what NVML refuses is None, with `why`."""
        ask_all(self.patients())
        return self.samples()

    def patients(self) -> Sequence[Patient[Any]]:
        return () if self._nvml is None or time.monotonic() < self._next else (self._whole,)

    def samples(self) -> list[GpuSample]:
        if self._nvml is None:
            return self._unread(_NO_PACKAGE) if self._files.exists(DRIVER) else []
        answer = self._whole.answer()
        if answer.value is None:
            known = self._files.exists(DRIVER)
            return self._unread(f"NVML does not tell anything: {answer.why}") if known else []
        return [aged(gpu, answer, "NVML") for gpu in answer.value] if answer.why else answer.value

    def quick_patients(self) -> Sequence[Patient[Any]]:
        return (self._fast,) if self._started and not self._whole.stuck else ()

    def quick(self) -> list[Used]:
        return self._fast.answer().value or []

    def _unread(self, why: str) -> list[GpuSample]:
        """What the kernel driver alone tells."""
        try:
            addresses = self._files.names(GPUS)
        except OSError:
            addresses = [""]
        return [GpuSample(self._model(each), "nvidia", address=each, why=why) for each in addresses]

    def _model(self, address: str) -> str:
        try:
            text = self._files.read(f"{GPUS}/{address}/information").decode("utf-8", "replace")
        except OSError:
            return "NVIDIA GPU"
        names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("Model:")]
        return next(filter(None, names), "NVIDIA GPU")

    def _read(self) -> list[GpuSample]:
        self._devices, found = [], []
        try:
            for handle, parent in self._handles():
                device = Device(self._nvml, handle, parent)
                found.append(device.sample(self._files, self._pids()))
                self._devices.append(device)
            return found
        except errors(self._nvml) as error:
            self._started = False
            if not self._files.exists(DRIVER):
                self._next = time.monotonic() + AGAIN
                return []
            return self._unread(f"NVML failed: {error}")

    def _read_fast(self) -> list[Used]:
        return [device.used() for device in self._devices]

    def _handles(self) -> Iterator[tuple[Any, Any]]:
        """(handle, that of the GPU it is an instance of or None) of each. Raises NVML's errors."""
        nvml = self._nvml
        if not self._started:
            nvml.nvmlInit()
            self._started = True
        for number in range(nvml.nvmlDeviceGetCount()):
            try:
                handle = nvml.nvmlDeviceGetHandleByIndex(number)
            except errors(nvml) as error:
                yield _Lost(error), None
                continue
            instances = list(_instances(nvml, handle))
            yield from ((each, handle) for each in instances) if instances else ((handle, None),)


class _Lost:
    """Stands for a GPU that NVML lists and then refuses: it fell off the bus, say."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class Device:
    """One handle of NVML, asked for one number after the other."""

    def __init__(self, nvml: Any, handle: Any, parent: Any) -> None:
        self._nvml = nvml
        self._handle = handle
        self._whole = handle if parent is None else parent
        """Power, clock and temperature are told of the GPU only, not of its instances."""
        self._shares = False
        """Whether it works in the machine's RAM."""
        self._missing: list[tuple[str, str]] = []

    def sample(self, files: Files, pids: Sequence[int]) -> GpuSample:
        """All that it tells."""
        if isinstance(self._handle, _Lost):
            return GpuSample("NVIDIA GPU", "nvidia", why=f"NVML failed: {self._handle.error}")
        nvml, whole = self._nvml, self._whole
        name = _text(self._ask("name", nvml.nvmlDeviceGetName, self._handle) or "NVIDIA GPU")
        shares = self._shares = _shares_ram(files, name)
        total, used = (None, None) if shares else self._memory()
        rates = self._ask("load", nvml.nvmlDeviceGetUtilizationRates, self._handle)
        power = self._ask("power", lambda: nvml.nvmlDeviceGetPowerUsage(whole))
        clock = self._ask("clock", lambda: nvml.nvmlDeviceGetClockInfo(whole, 1))  # NVML_CLOCK_SM
        return GpuSample(
            name,
            "nvidia",
            vram_total=total,
            vram_used=used,
            busy=None if rates is None else _share(rates.gpu),
            memory_busy=None if rates is None else _share(rates.memory),
            power=None if power is None else power / 1000,
            clock=None if clock is None else clock * 1_000_000,
            temperature=self._ask("temperature", lambda: float(nvml.nvmlDeviceGetTemperature(whole, 0))),
            ours_vram=self._ours(files, pids),
            address=self._address(),
            integrated=True if shares else None if total is None else False,
            why=self._why(shares),
        )

    def used(self) -> Used:
        """What moves fast; after `sample`."""
        if self._shares or isinstance(self._handle, _Lost):
            return Used()
        return Used(self._memory()[1])

    def _memory(self) -> tuple[int | None, int | None]:
        """(total, used). What the driver keeps for itself is used: nobody else can have it."""
        nvml = self._nvml
        try:
            memory = nvml.nvmlDeviceGetMemoryInfo(self._handle, version=nvml.nvmlMemory_v2)
        except errors(nvml):  # a driver before 510, or an older package
            memory = self._ask("memory", nvml.nvmlDeviceGetMemoryInfo, self._handle)
        if memory is None:
            return None, None
        total, used = int(memory.total), int(memory.total) - int(memory.free)
        if not 0 <= used <= total <= BOUND or not total:
            self._missing.append(("memory", "out of range"))
            return None, None
        return total, used

    def _ours(self, files: Files, pids: Sequence[int]) -> int | None:
        try:
            running = self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle)
        except errors(self._nvml) as error:
            self._missing.append(("the engine's own share", str(error).lower()))
            return None
        mine = [each.usedGpuMemory for each in running if each.pid in pids]
        if not pids:
            return None
        if not mine and running and _apart(files):
            self._missing.append(("the engine's own share", "the host numbers processes otherwise"))
            return None
        if None in mine:
            self._missing.append(("the engine's own share", "not available"))
            return None
        return sum(mine)

    def _address(self) -> str:
        try:
            found = _text(self._nvml.nvmlDeviceGetPciInfo(self._whole).busId).lower()
        except errors(self._nvml):
            return ""
        # NVML writes the domain with eight digits, the kernel with four.
        return found[4:] if found.startswith("0000") and found.index(":") == 8 else found

    def _ask(self, label: str, call: Callable[..., Any], *arguments: Any) -> Any:
        """None where NVML refuses; that is kept for `why`."""
        try:
            return call(*arguments)
        except errors(self._nvml) as error:
            self._missing.append((label, str(error).lower()))
            return None

    def _why(self, shares: bool) -> str:
        told = f"NVML does not tell: {reasons(self._missing)}" if self._missing else ""
        return ". ".join(filter(None, (_SHARES if shares else "", told)))


def errors(nvml: Any) -> tuple[type[Exception], ...]:
    """What a call of NVML may raise; an older package lacks newer calls."""
    return (nvml.NVMLError, OSError, ValueError, AttributeError, TypeError)


def _instances(nvml: Any, handle: Any) -> Iterator[Any]:
    """Handles of the instances of a GPU that is split into some (MIG)."""
    try:
        if not nvml.nvmlDeviceGetMigMode(handle)[0]:
            return
        most = nvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    except errors(nvml):
        return
    for number in range(most):
        try:
            yield nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)
        except errors(nvml):  # this place is empty
            continue


def _shares_ram(files: Files, name: str) -> bool:
    return any(word in name for word in UNIFIED) or files.exists(TEGRA)


def _apart(files: Files) -> bool:
    """Whether this process numbers processes otherwise than the machine does, as in a container."""
    try:
        return files.link("/proc/self/ns/pid") != _FIRST_NAMESPACE
    except OSError:
        return False


def _share(percent: int) -> float | None:
    return percent / 100 if 0 <= percent <= 100 else None


def _text(label: Any) -> str:
    return label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label)


def _load() -> Any:
    try:
        return importlib.import_module("pynvml")
    except (ImportError, OSError):
        return None
