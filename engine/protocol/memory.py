"""The nouns of memory: pools, what holds them, how short they are. Bytes; plain data, no behaviour."""

from __future__ import annotations

from typing import Literal

import msgspec

PoolKind = Literal["ram", "gtt", "vram", "unified"]
"""System RAM; RAM that the GPU maps; a GPU's own memory, or the RAM that the firmware set aside for it;
memory that CPU and GPU share entirely."""
Basis = Literal["assumed", "measured"]
"""Whether a pool was told by a rule, or by an allocation whose counter moved."""
Level = Literal["calm", "warn", "critical"]
Part = Literal["model", "cache", "adapter", "optimiser", "activations", "other"]


class Pool(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where bytes really live. Pools overlap (GTT is RAM): they are never added up."""

    id: str
    """`ram`, or the GPU's number and the kind: `gpu0.gtt`."""
    kind: PoolKind
    name: str = ""
    """In this machine's terms: `RAM lent to the GPU (GTT)`, `set aside by the firmware`."""
    gpu: str = ""
    """Name of the GPU; empty for RAM."""
    total: int | None = None
    used: int | None = None
    """By everybody; None is unknown, with the reason in `why`."""
    ours: int | None = None
    """By the engine and its children."""
    ceiling: int | None = None
    """What `ours` can grow to now; of a shared pool min(its total, available RAM + ours)."""
    main: bool = False
    """Whether models are computed here."""
    shared: bool = False
    """Whether it is system RAM that a GPU borrows."""
    basis: Basis = "assumed"
    source: str = ""
    """Where `used` comes from: file or call, and its unit."""
    why: str = ""

    @property
    def others(self) -> int | None:
        """Used by everybody else."""
        if self.used is None or self.ours is None:
            return None
        return max(0, self.used - self.ours)


class Holding(msgspec.Struct, frozen=True, omit_defaults=True):
    """What some of the engine's bytes are."""

    part: Part
    bytes: int
    label: str = ""
    """The model, the adapter or the run that they belong to."""
    pool: str = ""
    """Id of the pool they lie in."""


class TorchMemory(msgspec.Struct, frozen=True, omit_defaults=True):
    """What torch says of one device (`torch.cuda.memory_stats`); allocated <= reserved."""

    device: str
    allocated: int = 0
    """In tensors."""
    reserved: int = 0
    """Cached by torch."""
    peak: int = 0
    """Most allocated since the engine or its run began."""
    fragmented: int = 0
    """Reserved, not allocated, and split so that it cannot be given back."""
    retries: int = 0
    """Allocations that had to empty the cache first."""
    ooms: int = 0


class Pressure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Pressure stall information of memory (kernel docs, accounting/psi): share of time that tasks waited."""

    some10: float = 0.0
    """0 to 100, over ten seconds: at least one task waited."""
    some60: float = 0.0
    full10: float = 0.0
    """All tasks waited."""
    full60: float = 0.0


class Strain(msgspec.Struct, frozen=True, omit_defaults=True):
    """How short memory is."""

    level: Level = "calm"
    why: str = ""
    """One plain sentence where it is not calm."""
    since: float = 0.0
    """Unix time in seconds."""


class Swing(msgspec.Struct, frozen=True):
    """The least and the most of a number since the sample before, so that short peaks are seen."""

    least: int
    most: int
