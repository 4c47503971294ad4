"""What is known of the GPUs that torch computes on: plain data, with nothing of ours but the protocol."""

from __future__ import annotations

import msgspec

from engine.protocol.memory import PoolKind
from engine.protocol.specs import GpuSample


class Calibration(msgspec.Struct, frozen=True, omit_defaults=True):
    """One trial of one GPU."""

    device: str
    """As torch names it: `cuda:0`, `mps`, `cpu`."""
    gpu: str = ""
    """As the monitor names it; empty where no counter told which one it was."""
    address: str = ""
    """On the PCI bus, where it is known."""
    kind: PoolKind | None = None
    """The pool whose counter moved; None: none did."""
    moved: int = 0
    """Bytes that it moved by."""
    usable: bool = True
    """False: the trial killed its process, or the GPU refused to compute."""
    why: str = ""
    """One sentence where nothing was measured, or it is not usable."""
    remedy: str = ""
    at: float = 0.0
    """Unix time in seconds."""


class Computing(msgspec.Struct, frozen=True):
    """Which GPUs torch computes on, as far as that is known."""

    makers: tuple[str, ...] | None = None
    """Whose GPUs the installed torch is built for; None: unknown, so that all count."""
    found: tuple[Calibration, ...] = ()

    def of(self, gpu: GpuSample) -> Calibration | None:
        """The trial of this GPU, if there was one."""
        for each in self.found:
            if each.address and gpu.address:
                if each.address == gpu.address:
                    return each
            elif each.gpu and each.gpu == gpu.name:
                return each
        return None
