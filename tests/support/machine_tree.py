"""Recorded machines: one text file each under fixtures/machines, read through the monitor's own readers.

A line is `/path = one line of text`, `/link -> target`, `/path:` with indented lines below it,
`include NAME`, `/path space TOTAL USED` for a file system, or a `# comment`.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.monitor.amdgpu import AmdReader
from engine.monitor.apple import AppleReader, Handover, MpsNumbers
from engine.monitor.cards import Finder
from engine.monitor.files import Files
from engine.monitor.gpus import Gpus
from engine.monitor.intel import IntelReader
from engine.monitor.nvidia import NvidiaReader
from engine.monitor.sample import Sampler

MACHINES = Path(__file__).resolve().parents[1] / "fixtures" / "machines"
NAMES = sorted(path.stem for path in MACHINES.glob("*.tree") if path.stem not in ("engine",))
PID = 4242
"""The engine's process on each of them; 4243 is its child."""


class Recorded(Files):
    """The files of a recorded machine, unpacked below `root`; each can be made to fail."""

    def __init__(self, root: Path, spaces: dict[str, tuple[int, int]]) -> None:
        super().__init__(root)
        self.folder = root
        self._spaces = spaces
        self.faults: dict[str, Callable[[bytes], bytes]] = {}
        """What comes of a file's bytes, by its path without links; it may raise OSError, or wait."""

    def read(self, path: str, most: int = 1 << 16) -> bytes:
        if not self.faults:
            return super().read(path, most)
        fault = self.faults.get(self.real(path))
        found = super().read(path, most)
        return found if fault is None else fault(found)

    def space(self, path: str) -> tuple[int, int]:
        if path not in self._spaces:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return self._spaces[path]

    def paths(self) -> list[str]:
        """All files, links left out."""
        found = [path for path in self.folder.rglob("*") if path.is_file() and not path.is_symlink()]
        return sorted("/" + str(path.relative_to(self.folder)) for path in found)


def recorded(name: str, root: Path) -> Recorded:
    """Unpack a machine into the empty folder `root`."""
    spaces: dict[str, tuple[int, int]] = {}
    _unpack(name, root, spaces)
    return Recorded(root, spaces)


def machine(name: str, root: Path) -> tuple[Sampler, Recorded]:
    """A sampler of a recorded machine, as it stands after a first look."""
    files = recorded(name, root)
    return sampler_of(name, files), files


def sampler_of(name: str, files: Files) -> Sampler:
    """All of the machine's readers, NVML and torch.mps as recorded."""
    extra = MACHINES / f"{name}.json"
    facts: dict[str, Any] = json.loads(extra.read_text()) if extra.exists() else {}
    finder = Finder(files)
    pid = os.getpid() if "mps" in facts else PID
    nvml = RecordedNvml(facts["nvml"]) if "nvml" in facts else None
    nvidia = NvidiaReader(nvml, files=files, pids=lambda: (PID, PID + 1)) if nvml else None
    handover = Handover()
    if "mps" in facts:
        handover.put(MpsNumbers(**facts["mps"]))
    apple = AppleReader(handover, here="mps" in facts)
    cards: list[Gpus] = [AmdReader(files, finder), IntelReader(files, finder), apple]
    return Sampler(pid=pid, files=files, finder=finder, gpus=[nvidia, *cards] if nvidia else cards)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers are waited for as long as a busy machine may take; what a test lets hang is its own."""
    for name in ("patience.FIRST", "patience.PATIENCE", "sample.PSS_FIRST"):
        monkeypatch.setattr(f"engine.monitor.{name}", 60.0)


class NvmlError(Exception):
    """What NVML raises."""


class RecordedNvml:
    """The calls of pynvml that the reader makes, answered from a recording; a text is an error's."""

    NVMLError = NvmlError
    nvmlMemory_v2 = 33554472

    def __init__(self, gpus: list[dict[str, Any]]) -> None:
        self.gpus = gpus
        self.hang: threading.Event | None = None
        """While it is set up and not set, calls wait."""

    def nvmlInit(self) -> None:
        self._wait()

    def nvmlDeviceGetCount(self) -> int:
        self._wait()
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, number: int) -> dict[str, Any]:
        return self._told(self.gpus[number], "handle", self.gpus[number])

    def nvmlDeviceGetName(self, handle: dict[str, Any]) -> str:
        return self._told(handle, "name")

    def nvmlDeviceGetMemoryInfo(self, handle: dict[str, Any], version: int = 0) -> SimpleNamespace:
        if version and "memory" in handle:
            raise NvmlError("Function Not Found")
        total, free, reserved = self._told(handle, "memory_v2" if version else "memory")
        return SimpleNamespace(total=total, free=free, used=total - free - reserved, reserved=reserved)

    def nvmlDeviceGetUtilizationRates(self, handle: dict[str, Any]) -> SimpleNamespace:
        gpu, memory = self._told(handle, "rates")
        return SimpleNamespace(gpu=gpu, memory=memory)

    def nvmlDeviceGetPowerUsage(self, handle: dict[str, Any]) -> int:
        return self._told(handle, "milliwatts")

    def nvmlDeviceGetClockInfo(self, handle: dict[str, Any], clock: int) -> int:
        assert clock == 1
        return self._told(handle, "megahertz")

    def nvmlDeviceGetTemperature(self, handle: dict[str, Any], sensor: int) -> int:
        assert sensor == 0
        return self._told(handle, "celsius")

    def nvmlDeviceGetPciInfo(self, handle: dict[str, Any]) -> SimpleNamespace:
        return SimpleNamespace(busId=self._told(handle, "bus"))

    def nvmlDeviceGetComputeRunningProcesses(self, handle: dict[str, Any]) -> list[SimpleNamespace]:
        rows = self._told(handle, "processes", [])
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in rows]

    def nvmlDeviceGetMigMode(self, handle: dict[str, Any]) -> list[int]:
        return self._told(handle, "mig_mode", "Not Supported")

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: dict[str, Any]) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: dict[str, Any], number: int) -> dict[str, Any]:
        if number >= len(handle["instances"]):
            raise NvmlError("Not Found")
        found: dict[str, Any] = handle["instances"][number]
        return found

    def _told(self, handle: dict[str, Any], key: str, default: Any = "Not Supported") -> Any:
        self._wait()
        value = handle.get(key, default)
        if isinstance(value, str) and key not in ("name", "bus"):
            raise NvmlError(value)
        return value

    def _wait(self) -> None:
        if self.hang is not None:
            self.hang.wait(60)


def _unpack(name: str, root: Path, spaces: dict[str, tuple[int, int]]) -> None:
    open_file: Path | None = None
    for line in (MACHINES / f"{name}.tree").read_text().splitlines():
        if line.startswith("    ") and open_file is not None:
            with open_file.open("a") as file:
                file.write(line[4:].replace("\\t", "\t") + "\n")
        elif line.startswith("include "):
            _unpack(line.split()[1], root, spaces)
        elif line.startswith("/"):
            open_file = _one(line, root, spaces)


def _one(line: str, root: Path, spaces: dict[str, tuple[int, int]]) -> Path | None:
    path, sign, rest = (line.removesuffix(":"), ":", "") if line.endswith(":") else line.split(" ", 2)
    if sign == "space":
        total, used = rest.split()
        spaces[path] = int(total), int(used)
        return None
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    if sign == "->":
        place.symlink_to(rest)
        return None
    place.unlink(missing_ok=True)
    place.write_text("" if sign == ":" else rest + "\n")
    return place if sign == ":" else None
