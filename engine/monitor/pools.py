"""The pools of a machine out of one sample: where bytes really live, by rule or by measurement. Pure.

AMD APUs: `amdgpu_ttm_init` in the kernel's amdgpu driver chooses once, at boot. Where the carve-out is
smaller than GTT, a computation's memory is all GTT and the carve-out lies idle; else it is the carve-out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from engine.monitor.computing import Calibration, Computing
from engine.monitor.pool_words import (
    BORROWED,
    CARVE_OUT,
    LENT,
    LIMIT_SOURCE,
    MAPPED,
    SET_ASIDE,
    SPILL,
    ram_source,
    source_of,
)
from engine.monitor.words import gib
from engine.protocol.memory import Basis, Pool, PoolKind
from engine.protocol.specs import GpuSample, MonitorSample

BORROWS = 256 << 20
"""Bytes of ours in borrowed RAM from which a card's own memory counts as full; drivers always take some."""


class _Gpu(NamedTuple):
    """One GPU with what is known of it."""

    id: str
    sample: GpuSample
    trial: Calibration | None
    home: PoolKind
    """Where its computations allocate."""
    integrated: bool
    eligible: bool
    """Whether torch can compute on it."""


def pools(sample: MonitorSample, calibration: Computing | None = None) -> tuple[Pool, ...]:
    """The main pool first, then the others of its GPU, RAM, and other GPUs. They overlap: never add them up.

    Without a calibration every GPU counts as one that models can be computed on, told by rule.
    """
    known = calibration or Computing()
    gpus = [_gpu(number, gpu, known) for number, gpu in enumerate(sample.gpus)]
    used = _used_gpu(gpus, known)
    found = [pool for gpu in gpus for pool in _pools_of(gpu, sample, gpu is used)]
    if not any(pool.kind == "unified" for pool in found):  # that one is the RAM
        found.append(_ram(sample, used, known))
    first = next((pool for pool in found if pool.main), None)
    gpu = first.gpu if first is not None else ""
    order = sorted(found, key=lambda p: (not p.main, not (gpu and p.gpu == gpu), p.kind != "ram"))
    return tuple(order)


def free(pool: Pool) -> int | None:
    """Bytes that ours can take beside what they hold now; None where the pool does not tell."""
    if pool.ceiling is None:
        return None
    room = pool.ceiling - (pool.ours or 0)
    if pool.total is not None and pool.used is not None:
        room = min(room, pool.total - pool.used)
    return max(0, room)


def available(sample: MonitorSample) -> int:
    """RAM that can still be had: as the kernel tells, and within the container's limit."""
    return sample.ram_usable[1]


def mapped_in_use(sample: MonitorSample) -> int:
    """Bytes of files that the engine maps, its weights among them: in use, though MemAvailable has them too.

    0 in a container, whose memory.current counts them.
    """
    return sample.engine_mapped if sample.ram_usable[0] == sample.ram_total else 0


def gpu_in_ram(gpu: GpuSample) -> bool:
    """Whether a GPU has no memory chips of its own.

    Where the reader does not know, an AMD GPU with more GTT than VRAM counts as an APU.
    """
    if gpu.integrated is not None:
        return gpu.integrated
    if gpu.kind == "apple":
        return True
    return gpu.kind == "amd" and bool(gpu.gtt_total) and (gpu.gtt_total or 0) > (gpu.vram_total or 0)


# --- which GPU ------------------------------------------------------------------------------


def _gpu(number: int, gpu: GpuSample, known: Computing) -> _Gpu:
    trial, integrated = known.of(gpu), gpu_in_ram(gpu)
    home = trial.kind if trial is not None and trial.kind is not None else _home(gpu, integrated=integrated)
    able = (known.makers is None or gpu.kind in known.makers) and (trial is None or trial.usable)
    return _Gpu(f"gpu{number}", gpu, trial, home, integrated, able)


def _home(gpu: GpuSample, *, integrated: bool) -> PoolKind:
    """By rule, where computations on a GPU allocate."""
    if not integrated:
        return "vram"
    if gpu.kind == "amd":
        return "gtt" if gpu.gtt_total is not None and (gpu.vram_total or 0) < gpu.gtt_total else "vram"
    return "gtt" if gpu.kind == "intel" else "unified"


def _used_gpu(gpus: list[_Gpu], known: Computing) -> _Gpu | None:
    """The one that torch takes first: as a trial showed, else a card before one in the processor."""
    able = [gpu for gpu in gpus if gpu.eligible]
    first = next((each for each in known.found if each.device in ("cuda:0", "mps") and each.usable), None)
    for gpu in able:
        if first is not None and gpu.trial is first:
            return gpu
    return min(able, key=lambda gpu: gpu.integrated, default=None)


# --- the pools of one GPU -------------------------------------------------------------------


def _pools_of(gpu: _Gpu, sample: MonitorSample, used: bool) -> Iterator[Pool]:
    if gpu.sample.kind == "intel" and gpu.integrated:
        yield _mapped(gpu, sample, used)
    elif gpu.home == "unified":
        if used:  # else it is the same RAM once more
            yield _unified(gpu, sample)
    else:
        yield _vram(gpu, sample, used)
        if gpu.home == "gtt" or gpu.sample.gtt_total is not None or gpu.sample.gtt_used is not None:
            yield _gtt(gpu, sample, used)


def _vram(gpu: _Gpu, sample: MonitorSample, used: bool) -> Pool:
    told = gpu.sample
    main = used and gpu.home == "vram"
    name = "VRAM"
    if gpu.integrated:
        name = CARVE_OUT if gpu.home == "vram" else SET_ASIDE
    return Pool(
        id=f"{gpu.id}.vram",
        kind="vram",
        name=name,
        gpu=told.name,
        total=told.vram_total,
        used=told.vram_used,
        ours=_ours(told.ours_vram, sample, told.kind, main=main),
        ceiling=told.vram_total,
        main=main,
        shared=gpu.integrated,
        basis=_basis(gpu, "vram"),
        source=source_of(told, "vram"),
        why=_unknown(told, told.vram_total, told.vram_used) or _doubt(gpu, main=main),
    )


def _gtt(gpu: _Gpu, sample: MonitorSample, used: bool) -> Pool:
    told = gpu.sample
    main = used and gpu.home == "gtt"
    ours = _ours(told.ours_gtt, sample, told.kind, main=main)
    name = BORROWED
    if gpu.integrated:
        name = LENT if gpu.home == "gtt" else SPILL
    return Pool(
        id=f"{gpu.id}.gtt",
        kind="gtt",
        name=name,
        gpu=told.name,
        total=told.gtt_total,
        used=told.gtt_used,
        ours=ours,
        ceiling=_shared_ceiling(told.gtt_total, ours, sample),
        main=main,
        shared=True,
        basis=_basis(gpu, "gtt"),
        source=source_of(told, "gtt"),
        why=_unknown(told, told.gtt_total, told.gtt_used)
        or _doubt(gpu, main=main)
        or _lent(gpu, ours, sample),
    )


def _mapped(gpu: _Gpu, sample: MonitorSample, used: bool) -> Pool:
    """Intel GPUs in the processor: their memory is RAM, and each process is told its own share alone."""
    ours = gpu.sample.ours_gtt
    return Pool(
        id=f"{gpu.id}.gtt",
        kind="gtt",
        name=MAPPED,
        gpu=gpu.sample.name,
        total=sample.ram_total or None,
        ours=ours,
        ceiling=_shared_ceiling(sample.ram_total, ours, sample),
        main=used,
        shared=True,
        basis=_basis(gpu, "gtt"),
        source="DRM fdinfo of our processes: drm-resident-system, KiB",
        why=gpu.sample.why or "The driver tells each process its own share, and nobody the sum",
    )


def _unified(gpu: _Gpu, sample: MonitorSample) -> Pool:
    told = gpu.sample
    held = _reserved(sample, told.kind) if told.ours_vram is None else told.ours_vram
    ours = sample.engine_rss + held
    most = told.vram_total if told.kind == "apple" and told.vram_total else sample.ram_total
    return Pool(
        id=f"{gpu.id}.unified",
        kind="unified",
        name="memory of CPU and GPU together",
        gpu=told.name,
        total=sample.ram_total,
        used=max(0, min(sample.ram_total, sample.ram_total - sample.ram_available + mapped_in_use(sample))),
        ours=ours,
        ceiling=_shared_ceiling(most, ours - mapped_in_use(sample), sample),
        main=True,
        shared=True,
        basis=_basis(gpu, "unified"),
        source=ram_source(told.kind),
        why=told.why or _doubt(gpu, main=True),
    )


def _ram(sample: MonitorSample, used: _Gpu | None, known: Computing) -> Pool:
    total, left = sample.ram_usable
    limited = total != sample.ram_total
    held = sample.limit_used if limited else sample.ram_total - sample.ram_available + mapped_in_use(sample)
    ours = sample.engine_rss
    # Pages of files count as available already: the kernel can drop them.
    ceiling = min(total, left + max(0, sample.engine_rss - sample.engine_mapped))
    main = used is None or used.home == "ram"
    measured = any(each.kind == "ram" and each.usable for each in known.found)
    return Pool(
        id="ram",
        kind="ram",
        name="RAM that this container may use" if limited else "RAM",
        total=total,
        used=None if held is None else max(0, min(held, total)),
        ours=ours,
        ceiling=ceiling,
        main=main,
        basis="measured" if main and measured else "assumed",
        source=LIMIT_SOURCE if limited else ram_source(""),
        why="" if held is not None else "The container's memory.current cannot be read",
    )


# --- numbers --------------------------------------------------------------------------------


def _shared_ceiling(total: int | None, ours: int | None, sample: MonitorSample) -> int:
    """Of RAM that a GPU maps: never more than there is, whatever the driver would lend."""
    reach = min(sample.ram_available + (ours or 0), sample.ram_total)
    return reach if total is None else min(total, reach)


def _ours(told: int | None, sample: MonitorSample, maker: str, *, main: bool) -> int | None:
    """As the driver tells; where it does not, what torch keeps of the GPU that it computes on."""
    if told is not None or not main:
        return told
    return _reserved(sample, maker) or None


def _reserved(sample: MonitorSample, maker: str) -> int:
    """What torch keeps, in tensors and cached."""
    prefix = "mps" if maker == "apple" else "cuda"
    return sum(each.reserved for each in sample.torch if each.device.startswith(prefix))


def _basis(gpu: _Gpu, kind: PoolKind) -> Basis:
    trial = gpu.trial
    return "measured" if trial is not None and trial.usable and trial.kind == kind else "assumed"


def _doubt(gpu: _Gpu, *, main: bool) -> str:
    """Why a trial measured nothing, where there was one."""
    return gpu.trial.why if main and gpu.trial is not None and gpu.trial.kind is None else ""


def _unknown(gpu: GpuSample, *numbers: int | None) -> str:
    if None not in numbers:
        return ""
    return gpu.why or "Its driver does not tell"


def _lent(gpu: _Gpu, ours: int | None, sample: MonitorSample) -> str:
    """What a person should know of memory that the GPU has from the RAM."""
    if not gpu.integrated:
        if (ours or 0) < BORROWS:
            return ""
        return f"{gib(ours or 0)} of ours lie in RAM, which is slow: the GPU's own memory is full"
    if sample.ram_usable[0] != sample.ram_total:
        return "The container's memory limit does not count it"
    return ""
