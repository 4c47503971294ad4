"""The memory that a model's weights would lie in, as the monitor reads it. Measures nothing itself."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from engine.protocol.specs import DeviceFinding, GpuSample, MonitorSample

MIB = 1 << 20
VRAM_RESERVE = 256 * MIB
"""Kept free on a GPU with memory of its own: a screen may hang on it."""
LEAST_RESERVE, MOST_RESERVE = 512 * MIB, 2048 * MIB
SHARE = 16
"""One part in so many is kept free of memory that the desktop uses, too."""


class MachineFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """One pool of memory now. Bytes."""

    pool: str
    """`VRAM`, `GTT`, `unified` or `RAM`."""
    free: int
    total: int
    shared: bool = True
    """Whether the desktop and other programs live in it, too."""
    held: int = 0
    """What other loaded models hold of it, and would give back."""
    bandwidth: float = 0.0
    """Bytes a second that it was measured to read; 0 is unknown."""
    name: str = ""
    """Of the GPU; empty for the CPU."""

    @property
    def key(self) -> str:
        """Names this memory in the log of predictions: `RAM`, `VRAM NVIDIA H200`."""
        return f"{self.pool} {self.name}".strip()


def machine_facts(
    sample: MonitorSample | None,
    devices: Sequence[DeviceFinding],
    *,
    held: int = 0,
    bandwidth: float = 0.0,
) -> MachineFacts | None:
    """The memory of the GPU that torch computes on, else the RAM; None before the first reading.

    `held`: bytes of loaded models. Weights that are pages of their files count as available to the kernel,
    which could drop them, and would read them again for each token: they are no free memory here.
    """
    if sample is None or not sample.ram_total:
        return None
    ram = max(0, sample.ram_available - min(held, sample.engine_mapped))
    usable = {finding.kind for finding in devices if finding.usable}
    for gpu in sample.gpus:
        if gpu.kind in usable and gpu.vram_total and gpu.vram_used is not None:
            lent = _lent(gpu, sample)
            if lent is not None:
                return MachineFacts("GTT", *lent, held=held, bandwidth=bandwidth, name=gpu.name)
            free = max(0, gpu.vram_total - gpu.vram_used)
            return MachineFacts("VRAM", free, gpu.vram_total, False, held, bandwidth, gpu.name)
    if "apple" in usable:
        name = next(finding.name for finding in devices if finding.kind == "apple")
        return MachineFacts("unified", ram, sample.ram_total, True, held, bandwidth, name)
    return MachineFacts("RAM", ram, sample.ram_total, True, held, bandwidth)


def kept_free(facts: MachineFacts) -> int:
    """Bytes left to others unless a person says otherwise.

    Of shared memory a sixteenth, at least 512 MiB and at most 2 GiB; 256 MiB of a GPU's own.
    """
    if not facts.shared:
        return VRAM_RESERVE
    return min(MOST_RESERVE, max(LEAST_RESERVE, facts.total // SHARE))


def _lent(gpu: GpuSample, sample: MonitorSample) -> tuple[int, int] | None:
    """Free and total of an integrated AMD GPU: RAM that the driver lends it, not its small carve-out."""
    if gpu.kind != "amd" or not gpu.gtt_total or gpu.gtt_used is None:
        return None
    if gpu.gtt_total <= (gpu.vram_total or 0):
        return None
    return max(0, min(gpu.gtt_total - gpu.gtt_used, sample.ram_available)), gpu.gtt_total
