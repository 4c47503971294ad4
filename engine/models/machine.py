"""The memory that a model's weights would lie in: the monitor's main pool. Measures nothing itself."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from engine.protocol.memory import Pool, PoolKind
from engine.protocol.specs import DeviceFinding, MonitorSample

MIB = 1 << 20
VRAM_RESERVE = 256 * MIB
"""Kept free on a GPU with memory of its own: a screen may hang on it."""
LEAST_RESERVE, MOST_RESERVE = 512 * MIB, 2048 * MIB
SHARE = 16
"""One part in so many is kept free of memory that the desktop uses, too."""
_NAMES: dict[PoolKind, str] = {"vram": "VRAM", "gtt": "GTT", "unified": "unified", "ram": "RAM"}


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
    packs_on_gpu: bool = False
    """Whether unified memory is computed on by a GPU that packs weights as a card of its maker does."""

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
    from engine.monitor import pools  # not needed for the screen's first paint

    if sample is None or not sample.ram_total:
        return None
    usable = tuple(finding.kind for finding in devices if finding.usable)
    pool = _main(sample, usable)
    if pool is None or pool.kind == "ram":
        free = max(0, pools.available(sample) - min(held, sample.engine_mapped))
        total = sample.ram_total if pool is None or pool.total is None else pool.total
        if "apple" not in usable:
            return MachineFacts("RAM", free, total, True, held, bandwidth)
        name = next(finding.name for finding in devices if finding.kind == "apple")
        return MachineFacts("unified", free, total, True, held, bandwidth, name)
    room = pools.free(pool)
    maker = next((gpu.kind for gpu in sample.gpus if gpu.name == pool.gpu), "")
    return MachineFacts(
        _NAMES[pool.kind],
        0 if room is None else room,
        pool.total or sample.ram_total,
        pool.kind != "vram",
        held,
        bandwidth,
        pool.gpu,
        packs_on_gpu=pool.kind == "unified" and maker == "nvidia",
    )


def _main(sample: MonitorSample, usable: tuple[str, ...]) -> Pool | None:
    """The pool that torch computes in: the sample's main one, where that is of a GPU that torch can use."""
    from engine.monitor.computing import Computing
    from engine.monitor.pools import pools

    if sample.pools and sample.pools[0].main and _usable(sample.pools[0], sample, usable):
        return sample.pools[0]
    made = pools(sample, Computing(usable))
    return made[0] if made and _usable(made[0], sample, usable) else None


def _usable(pool: Pool, sample: MonitorSample, usable: tuple[str, ...]) -> bool:
    """Whether a main pool agrees with what torch says of its GPU, and with what the driver tells of it."""
    maker = next((gpu.kind for gpu in sample.gpus if gpu.name == pool.gpu), "")
    if pool.kind == "ram":
        return not any(gpu.kind in usable for gpu in sample.gpus) or pool.basis == "measured"
    return maker in usable and (pool.kind == "unified" or (bool(pool.total) and pool.used is not None))


def kept_free(facts: MachineFacts) -> int:
    """Bytes left to others unless a person says otherwise.

    Of shared memory a sixteenth, at least 512 MiB and at most 2 GiB; 256 MiB of a GPU's own.
    """
    if not facts.shared:
        return VRAM_RESERVE
    return min(MOST_RESERVE, max(LEAST_RESERVE, facts.total // SHARE))
