"""What this torch says of the machine's GPUs. Asked once, in the model thread, after torch is imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

import torch

from engine.devices import Machine, TorchFacts, judge, tried
from engine.monitor.computing import Calibration
from engine.monitor.sample import gpu_readers
from engine.protocol.specs import DeviceFinding, GpuSample
from engine.workers.device import dtype_name, pick_device, pick_dtype


class EngineFacts(TypedDict):
    """The fields of EngineInfo that only torch can fill."""

    devices: tuple[DeviceFinding, ...]
    load_dtype: str


def engine_facts(trials: Sequence[Calibration] = ()) -> EngineFacts:
    """For `replace(info, **engine_facts())`. Never raises for a GPU that misbehaves.

    `trials`: what the GPUs showed before torch was imported; see engine.calibrating.
    """
    maker = {"rocm": "amd", "cuda": "nvidia"}.get(torch_facts().build, "apple")
    return EngineFacts(
        devices=tried(findings(), trials, maker), load_dtype=dtype_name(pick_dtype("", pick_device()))
    )


def findings(
    gpus: Sequence[GpuSample] | None = None, machine: Machine | None = None
) -> tuple[DeviceFinding, ...]:
    """One for each GPU of the machine. `gpus`: what the monitor's readers see; None asks them."""
    if gpus is None:
        gpus = [gpu for reader in gpu_readers() for gpu in reader()]
    return judge(gpus, torch_facts(), machine)


def torch_facts() -> TorchFacts:
    """What the installed torch is built for, and what it sees."""
    build: Literal["cpu", "cuda", "rocm"] = "cpu"
    if torch.version.hip:
        build = "rocm"
    elif torch.version.cuda:
        build = "cuda"
    metal = torch.backends.mps.is_available()
    if build == "cpu":
        return TorchFacts(build, metal=metal)
    if torch.cuda.is_available():
        return TorchFacts(build, available=True, lacking=_lacking(build))
    return TorchFacts(build, error=_why_none())


def _why_none() -> str:
    """torch's own reason, first line."""
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return (str(error).splitlines() or [""])[0].rstrip(".")
    return ""


def _lacking(build: str) -> str:
    """The first GPU's architecture where this build has no kernels for it; empty where it has."""
    known = torch.cuda.get_arch_list()
    try:
        if build == "rocm":
            name = torch.cuda.get_device_properties(0).gcnArchName.partition(":")[0]
            return "" if not known or name in known else name
        major, minor = torch.cuda.get_device_capability(0)
    except (RuntimeError, AssertionError):
        return ""
    return "" if not known or covers(known, major, minor) else f"sm_{major}{minor}"


def covers(known: Sequence[str], major: int, minor: int) -> bool:
    """Whether CUDA kernels for these architectures run on a GPU of this compute capability.

    Binary code (sm_86) runs on the same major version from its minor on; PTX (compute_90) on all later ones.
    """
    for name in known:
        kind, _, number = name.partition("_")
        digits = number.rstrip("af")
        if not digits.isdecimal():
            continue
        theirs = (int(digits[:-1] or 0), int(digits[-1]))
        if kind == "compute" and theirs <= (major, minor):
            return True
        if kind == "sm" and theirs[0] == major and theirs[1] <= minor:
            return True
    return False
