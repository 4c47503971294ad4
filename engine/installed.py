"""The GPUs as an engine would likely find them, judged from torch's package and not by torch."""

from __future__ import annotations

import importlib.metadata
import platform

from engine.devices import TorchFacts, judge, tried
from engine.monitor.calibration import computing
from engine.monitor.sample import gpu_readers
from engine.protocol.specs import DeviceFinding


def likely_devices() -> tuple[DeviceFinding, ...]:
    """One for each GPU, by what a trial showed of it, if there was one.

    What only torch can say (too old a driver, missing kernels) is taken to be well.
    """
    gpus = [gpu for reader in gpu_readers() for gpu in reader()]
    build, known = torch_build(), computing(gpus)
    maker = {"rocm": "amd", "cuda": "nvidia"}.get(build.build, "apple")
    return tried(judge(gpus, build), known.found, maker)


def torch_build(system: str = "") -> TorchFacts:
    """By the package's version: `2.13.0+cpu`, `+cu130`, `+rocm7.2`; a bare one is the index's default."""
    try:
        local = importlib.metadata.version("torch").partition("+")[2]
    except importlib.metadata.PackageNotFoundError:
        return TorchFacts("cpu")
    if local.startswith("rocm"):
        return TorchFacts("rocm", available=True)
    linux = (system or platform.system()) == "Linux"
    if local.startswith("cu") or (linux and not local):
        return TorchFacts("cuda", available=True)
    return TorchFacts("cpu", metal=not linux)
