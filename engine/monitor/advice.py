"""What would give models more memory here, or keep them from losing it. Said, never done."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from engine.monitor.calibration import computing, variables
from engine.monitor.computing import Calibration
from engine.monitor.files import Files, Unreadable
from engine.monitor.pools import gpu_in_ram
from engine.monitor.words import gib
from engine.protocol.specs import GpuSample, MonitorSample

PAGES_LIMIT = "/sys/module/ttm/parameters/pages_limit"
OVERRIDE = "HSA_OVERRIDE_GFX_VERSION"
_PAGE = 4096
"""Bytes of the pages that ttm counts in."""
_GIB = 1 << 30
IDLE_CARVE_OUT = 1 * _GIB
"""A carve-out that models do not use, and that is worth giving back."""
SAFE_SHARE = 0.5
"""Of the RAM that GTT may take: to move pages out of it the kernel needs memory itself (TTM's maintainer)."""
SMALL_SHM = 256 << 20
"""Bytes of /dev/shm below which loaders of data in several processes fail; Docker gives 64 MB."""


class Advice(msgspec.Struct, frozen=True):
    """One thing that a person may want to change."""

    id: str
    what: str
    """How it is, in one sentence."""
    do: str
    """What to change, or a command; empty where it is only good to know."""


class Around(msgspec.Struct, frozen=True, omit_defaults=True):
    """What advice is given by, beside a sample."""

    pages_limit: int | None = None
    """Bytes that ttm lends to GPUs at most; None: no such module."""
    override: str = ""
    """HSA_OVERRIDE_GFX_VERSION as the engine would see it."""
    trials: tuple[Calibration, ...] = ()


def around(
    env: Mapping[str, str] = os.environ, trials: Sequence[Calibration] = (), files: Files | None = None
) -> Around:
    """Of this machine. Never raises."""
    try:
        pages: int | None = (files or Files()).number(PAGES_LIMIT) * _PAGE
    except Unreadable:
        pages = None
    return Around(pages, env.get(OVERRIDE, ""), tuple(trials))


def advice_here(sample: MonitorSample) -> tuple[Advice, ...]:
    """For this machine, with what trials have shown of its GPUs. Never raises."""
    trials = computing(sample.gpus).found
    return advice(sample, around(variables(), trials))


def advice(sample: MonitorSample, here: Around) -> tuple[Advice, ...]:
    """The most useful first; empty where there is nothing to say. Names of GPUs in it are untrusted text."""
    return tuple((*_trials(here), *_apus(sample, here), *_override(here), *_container(sample), *_ram(sample)))


def _trials(here: Around) -> Iterator[Advice]:
    for trial in here.trials:
        if not trial.usable:
            yield Advice("gpu-refused", f"{trial.gpu or trial.device} is not used. {trial.why}", trial.remedy)
        elif trial.why:
            yield Advice("not-measured", f"{trial.gpu or trial.device}: {trial.why}", "")


def _apus(sample: MonitorSample, here: Around) -> Iterator[Advice]:
    for gpu in sample.gpus:
        if gpu.kind == "amd" and gpu_in_ram(gpu) and gpu.vram_total is not None and gpu.gtt_total is not None:
            yield from _carve_out(gpu, sample)
            yield from _lent_too_much(gpu, sample, here)


def _carve_out(gpu: GpuSample, sample: MonitorSample) -> Iterator[Advice]:
    """The driver computes in the larger one of the two, and decides at boot."""
    vram, gtt = gpu.vram_total or 0, gpu.gtt_total or 0
    physical = sample.ram_total + vram
    if vram < gtt:
        if vram >= IDLE_CARVE_OUT:
            yield Advice(
                "carve-out-idle",
                f"{gpu.name} computes in RAM lent to it (GTT, {gib(gtt)}); the {gib(vram)} that the firmware "
                "set aside lie idle",
                "Set the carve-out (UMA frame buffer) to its smallest in the firmware's setup; "
                f"at {gib(gtt)} or more the GPU would compute in the carve-out instead",
            )
        return
    spare = int(physical * SAFE_SHARE)
    if spare > vram:
        yield Advice(
            "carve-out-small",
            f"{gpu.name} computes in the {gib(vram)} that the firmware set aside, because GTT ({gib(gtt)}) "
            "is not larger",
            f"With the smallest carve-out it could borrow about {gib(spare)} of RAM (GTT) instead; "
            "or set a larger carve-out, which the CPU then lacks",
        )


def _lent_too_much(gpu: GpuSample, sample: MonitorSample, here: Around) -> Iterator[Advice]:
    limit = max(here.pages_limit or 0, gpu.gtt_total or 0)
    if limit <= SAFE_SHARE * sample.ram_total * 1.02:  # the kernel's own default rounds
        return
    what = f"{gib(limit)} of {gib(sample.ram_total)} RAM may be lent to the GPU, more than half"
    if limit > sample.ram_total:
        what = f"{gib(limit)} of RAM may be lent to the GPU, and there are only {gib(sample.ram_total)}"
    half = int(sample.ram_total * SAFE_SHARE) // _PAGE
    yield Advice(
        "pages-limit",
        f"{what}: where memory is short the machine can hang, because moving pages out needs memory too",
        f"Start the kernel with ttm.pages_limit={half} (half of the RAM), or leave so much RAM unused",
    )


def _override(here: Around) -> Iterator[Advice]:
    if here.override:
        yield Advice(
            "override",
            f"{OVERRIDE} is {here.override}: kernels made for another AMD GPU run here, which AMD does not "
            "promise to work",
            "Take it away once a torch build has kernels for this GPU",
        )


def _container(sample: MonitorSample) -> Iterator[Advice]:
    limited = sample.ram_usable[0] != sample.ram_total
    if limited and any(gpu.kind == "amd" and gpu_in_ram(gpu) for gpu in sample.gpus):
        yield Advice(
            "gtt-not-charged",
            f"The container may use {gib(sample.ram_usable[0])}, but RAM lent to the GPU (GTT) is not "
            "charged to it: the machine can run short while the container looks idle",
            "Leave room for it on the host; the pool's ceiling here is of the whole machine",
        )
    if sample.shm_total is not None and sample.shm_total < SMALL_SHM:
        yield Advice(
            "shm-small",
            f"/dev/shm holds {gib(sample.shm_total)}: work in several processes may end with a bus error",
            "Start the container with --shm-size=1g, or --ipc=host",
        )


def _ram(sample: MonitorSample) -> Iterator[Advice]:
    if sample.ram_total and not sample.swap_total and sample.ram_usable[0] == sample.ram_total:
        yield Advice(
            "no-swap",
            "There is no swap: where RAM runs out the kernel ends a program at once",
            "A swap file of 4 to 8 GiB, or zram, leaves time for a warning",
        )
    if "pressure" in sample.whys or (sample.pressure is None and sample.ram_total):
        yield Advice(
            "no-psi",
            "The kernel does not tell how long programs wait for memory (PSI), so a warning comes later",
            "Start the kernel with psi=1",
        )
