"""Which GPUs this machine has and whether torch can compute on them: judged from facts, without torch."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.monitor.computing import Calibration
from engine.protocol.specs import DeviceFinding, GpuSample

PCI = Path("/sys/bus/pci/devices")
KFD = Path("/dev/kfd")
"""AMD's compute device. Only asked about, never opened: an open file counts as a process on the GPU."""
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
VENDORS: dict[str, Literal["nvidia", "amd"]] = {"0x10de": "nvidia", "0x1002": "amd"}
_DISPLAY = "0x03"
"""PCI class of GPUs, with and without outputs."""
_BUILDS = {"nvidia": "cuda", "amd": "rocm"}
_MAKERS = {"nvidia": "NVIDIA", "amd": "AMD"}
KFD_NODES = Path("/sys/class/kfd/kfd/topology/nodes")
_HIDING = ("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
_OVERRIDE = "HSA_OVERRIDE_GFX_VERSION"
_STAND_INS = {"gfx103": "10.3.0", "gfx11": "11.0.0"}
"""HSA_OVERRIDE_GFX_VERSION by family: the sibling whose kernels run there, though AMD does not promise it."""


@dataclass(frozen=True)
class TorchFacts:
    """What the installed torch says of itself and of the GPUs it sees."""

    build: Literal["cpu", "cuda", "rocm"]
    available: bool = False
    """Whether it sees a GPU of its build's maker."""
    error: str = ""
    """Its own words when it sees none."""
    lacking: str = ""
    """The architecture of the GPU when the build has no kernels for it, such as gfx1103 or sm_61."""
    metal: bool = False


@dataclass(frozen=True)
class Machine:
    """Where to look; tests give a tree of their own."""

    pci: Path = PCI
    kfd: Path = KFD
    nvidia_driver: Path = NVIDIA_DRIVER
    apple: bool = platform.system() == "Darwin" and platform.machine() == "arm64"

    def gpus(self, samples: Sequence[GpuSample]) -> list[tuple[Literal["nvidia", "amd"], str]]:
        """(maker, name) of each GPU: those that a driver tells of, else those that sit on the bus."""
        found: list[tuple[Literal["nvidia", "amd"], str]] = [
            (gpu.kind, gpu.name) for gpu in samples if gpu.kind in ("nvidia", "amd")
        ]
        told = {kind for kind, _ in found}
        for device in sorted(_entries(self.pci)):
            kind = VENDORS.get(_read(device / "vendor"))
            if kind and kind not in told and _read(device / "class").startswith(_DISPLAY):
                number = _read(device / "device").removeprefix("0x")
                found.append((kind, f"{_MAKERS[kind]} GPU {number}".rstrip()))
        return found

    def reachable(self, maker: Literal["nvidia", "amd"]) -> bool:
        """Whether torch can ask the driver: loaded, open to this user, and no variable hides the GPUs."""
        if maker == "nvidia":
            return self.nvidia_driver.exists() and _hidden("CUDA_VISIBLE_DEVICES") is None
        hidden = any(_hidden(name) is not None for name in _HIDING)
        return os.access(self.kfd, os.R_OK | os.W_OK) and not hidden


def judge(
    samples: Sequence[GpuSample], torch: TorchFacts, machine: Machine | None = None
) -> tuple[DeviceFinding, ...]:
    """One finding for each GPU, the usable ones first. A torch build serves one maker, so that a GPU of
    another maker is named without a remedy while one is in use."""
    machine = machine or Machine()
    if machine.apple:
        return (_apple(torch),)
    findings = [_finding(kind, name, torch, machine) for kind, name in machine.gpus(samples)]
    findings.sort(key=lambda finding: not finding.usable)
    if any(finding.usable for finding in findings):
        findings = [
            finding if finding.usable else DeviceFinding(finding.name, finding.kind, why=finding.why)
            for finding in findings
        ]
    return tuple(findings)


def tried(
    found: Sequence[DeviceFinding], trials: Sequence[Calibration], maker: str
) -> tuple[DeviceFinding, ...]:
    """The findings with what trials showed, which know better than what torch lists; the usable ones first.

    `maker`: of the GPUs that torch is built for. A trial that no counter told apart is of one of these.
    """
    said = {trial.gpu: trial for trial in reversed(trials) if trial.device != "cpu"}
    alone = next(iter(said.values())) if len(said) == 1 else None
    told = []
    for finding in found:
        trial = said.get(finding.name)
        if trial is None and finding.kind == maker:
            trial = alone
        if trial is not None and not trial.usable:
            finding = DeviceFinding(finding.name, finding.kind, why=trial.why, remedy=trial.remedy)
        elif trial is not None and trial.kind is not None:
            finding = DeviceFinding(finding.name, finding.kind, usable=True)
        told.append(finding)
    return tuple(sorted(told, key=lambda finding: not finding.usable))


def _finding(kind: Literal["nvidia", "amd"], name: str, torch: TorchFacts, machine: Machine) -> DeviceFinding:
    wanted = _BUILDS[kind]
    if torch.build != wanted:
        have = "the CPU alone" if torch.build == "cpu" else f"GPUs of {_other(kind)}"
        return DeviceFinding(
            name, kind, why=f"The installed torch is built for {have}", remedy=f"make setup TORCH={wanted}"
        )
    if torch.available and not torch.lacking:
        return DeviceFinding(name, kind, usable=True)
    why, remedy = _nvidia(torch, machine) if kind == "nvidia" else _amd(torch, machine)
    return DeviceFinding(name, kind, why=why, remedy=remedy)


def stand_in(arch: str) -> str:
    """HSA_OVERRIDE_GFX_VERSION that often works for an AMD architecture such as gfx1103; empty for none."""
    return next((version for family, version in _STAND_INS.items() if arch.startswith(family)), "")


def remedy_for(arch: str) -> str:
    """What may help a GPU of this architecture that does not compute; empty `arch`: it did not even say."""
    real = kfd_arch() or arch
    version, current = stand_in(real), os.environ.get(_OVERRIDE, "")
    if version and current != version:
        return f'Write {_OVERRIDE} = "{version}" under [engine.env] in settings.toml, then restart the engine'
    if current:
        return f"Take {_OVERRIDE}={current} away, which does not work here, or run make setup TORCH=cpu"
    return "Update its driver, or run make setup TORCH=cpu; qwill doctor --calibrate tries it again"


def kfd_arch(topology: Path = KFD_NODES) -> str:
    """The first AMD GPU's real architecture by the kernel, such as gfx1103; empty where it does not tell.

    `gfx_target_version` of a node's properties: 110003 is 11, 0 and 3; a CPU has 0.
    """
    for node in sorted(_entries(topology)):
        for line in _read(node / "properties").splitlines():
            name, _, number = line.partition(" ")
            if name == "gfx_target_version" and number.isdecimal() and int(number):
                major, minor, step = int(number) // 10000, int(number) // 100 % 100, int(number) % 100
                return f"gfx{major}{minor:x}{step:x}"
    return ""


def _nvidia(torch: TorchFacts, machine: Machine) -> tuple[str, str]:
    if torch.lacking:
        return (
            f"The installed torch has no kernels for {torch.lacking}",
            "Install a torch release that still covers it, or run make setup TORCH=cpu",
        )
    if not machine.nvidia_driver.exists():
        return "NVIDIA's driver is not loaded", "Install NVIDIA's driver, then start the machine again"
    if (hidden := _hidden("CUDA_VISIBLE_DEVICES")) is not None:
        return f"CUDA_VISIBLE_DEVICES is {hidden!r} and hides it", "Unset CUDA_VISIBLE_DEVICES"
    if "too old" in torch.error:
        return "NVIDIA's driver is too old for the installed torch", "Update NVIDIA's driver"
    return torch.error or "torch sees no NVIDIA GPU", "Look at what nvidia-smi says"


def _amd(torch: TorchFacts, machine: Machine) -> tuple[str, str]:
    if torch.lacking:
        why = f"The installed torch has no kernels for {torch.lacking}"
        if version := stand_in(torch.lacking):
            return why, f"Start with {_OVERRIDE}={version}, which often works"
        return why, "make setup TORCH=cpu"
    if not machine.kfd.exists():
        return f"{machine.kfd} is missing: the driver's compute part is not loaded", "Update the kernel"
    if not os.access(machine.kfd, os.R_OK | os.W_OK):
        return (
            f"This user may not open {machine.kfd}",
            "Run sudo usermod -aG render,video $USER, then log in again",
        )
    for variable in _HIDING:
        if (hidden := _hidden(variable)) is not None:
            return f"{variable} is {hidden!r} and hides it", f"Unset {variable}"
    return torch.error or "torch sees no AMD GPU", "Look at what rocminfo says"


def _apple(torch: TorchFacts) -> DeviceFinding:
    if torch.metal:
        return DeviceFinding("Apple GPU", "apple", usable=True)
    return DeviceFinding("Apple GPU", "apple", why="torch cannot reach Metal", remedy="Update macOS")


def _other(kind: str) -> str:
    return "AMD" if kind == "nvidia" else "NVIDIA"


def _hidden(variable: str) -> str | None:
    """The variable's value where it hides every GPU."""
    value = os.environ.get(variable)
    return value if value is not None and value.strip() in ("", "-1") else None


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip().lower()
    except OSError:
        return ""
