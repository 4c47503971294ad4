"""One look at the machine: RAM, swap, CPU, the engine's own share, and the GPUs."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from engine.monitor.amdgpu import AmdReader
from engine.monitor.apple import AppleReader
from engine.monitor.cards import Finder
from engine.monitor.cgroup import Group, read_group
from engine.monitor.cpu import Load
from engine.monitor.fdinfo import ClientReader, with_shares
from engine.monitor.files import Files, Unreadable, word_of
from engine.monitor.gpus import Gpus, Used
from engine.monitor.intel import IntelReader
from engine.monitor.nvidia import NvidiaReader
from engine.monitor.patience import Patient, ask_all
from engine.monitor.pooled import pooled
from engine.monitor.processes import Processes, Usage, read_pss
from engine.monitor.ram import Ram, read_ram, used_now
from engine.protocol.specs import GpuSample, MonitorSample

GpuReader = Callable[[], list[GpuSample]]
"""One maker's GPUs; never raises."""
PSS_EVERY = 5.0
"""Seconds between two looks at PSS at least."""
PSS_FIRST = 0.1
"""Seconds that the first look at PSS is waited for; later ones are for the next sample."""
PSS_SHARE = 200.0
"""A look at PSS waits for so many times as long as the one before took."""


def gpu_readers() -> tuple[GpuReader, ...]:
    """The readers of this machine, for one look at it."""
    return (NvidiaReader().read, AmdReader().read, IntelReader().read)


class Machine(NamedTuple):
    """What is read of RAM and processes in one go."""

    ram: Ram
    group: Group
    engine: Usage
    cpu: float


class Sampler:
    """Takes samples; each holds the CPU's load since the one before. Used from one thread."""

    def __init__(
        self,
        readers: Sequence[GpuReader] | None = None,
        pid: int | None = None,
        *,
        files: Files | None = None,
        gpus: Sequence[Gpus] | None = None,
        finder: Finder | None = None,
    ) -> None:
        """`pid`: the engine's process, this one by default; its children count with it.

        `readers` or `gpus`: those of the GPUs instead of the machine's own. `files`: another machine,
        `finder` the one that its `gpus` use.
        """
        self._files = files or Files()
        self._finder = finder or Finder(self._files)
        if readers is not None:
            gpus = [_Plain(reader) for reader in readers]
        self._processes = Processes(self._files, os.getpid() if pid is None else pid)
        self._gpus = tuple(self._all_gpus() if gpus is None else gpus)
        self._cores = os.cpu_count() or 1
        self._load = Load(self._files)
        self._machine = Patient(self._look, "RAM and processes")
        self._fast = Patient(self._look_fast, "RAM and processes")
        self._clients = Patient(ClientReader(self._files, lambda: self._processes.pids).read, "fdinfo")
        self._pss = Patient(self._look_pss, "PSS", first=PSS_FIRST, patience=0.0)
        # Whoever brings readers wants a cheap look.
        self._pss_due = 0.0 if readers is None else math.inf

    def _all_gpus(self) -> list[Gpus]:
        nvidia = NvidiaReader(files=self._files, pids=lambda: self._processes.pids)
        amd, intel = AmdReader(self._files, self._finder), IntelReader(self._files, self._finder)
        return [nvidia, amd, intel, AppleReader()]

    def sample(self) -> MonitorSample:
        """The machine now. Never raises for what cannot be read: it is None (or 0), with a reason.

        Waits at most a second for a driver that hangs, and only once: after that its last numbers are shown
        with their age.
        """
        ask_all(self._finder.patients())
        of_gpus = [patient for gpus in self._gpus for patient in gpus.patients()]
        ask_all([self._machine, *of_gpus, *([self._clients] if self._finder.cards else [])])
        if time.monotonic() >= self._pss_due:
            ask_all([self._pss])
        ram, group, usage, cpu = self._machine.answer().value or _UNKNOWN
        pss, shares = self._pss.answer(), self._clients.answer().value
        whys = ram.whys | group.whys
        if why := self._machine.answer().why:
            whys |= dict.fromkeys(("ram_total", "ram_available", "engine_rss"), why)
        elif usage.why:
            whys["engine_rss"] = usage.why
        if isinstance(pss.value, str) or pss.value is None:
            whys["engine_pss"] = pss.value or pss.why
        found = MonitorSample(
            at=time.time(),
            ram_total=ram.total or 0,
            ram_available=ram.available or 0,
            swap_total=ram.swap_total or 0,
            swap_used=ram.swap_used or 0,
            engine_rss=usage.rss,
            engine_mapped=usage.mapped,
            cpu=cpu,
            engine_cpu=usage.cores,
            cores=self._cores,
            gpus=tuple(with_shares(gpu, shares) for gpus in self._gpus for gpu in gpus.samples()),
            pressure=group.pressure if group.limit is not None and group.pressure else ram.pressure,
            limit=group.limit,
            limit_used=group.used,
            engine_pss=pss.value if isinstance(pss.value, int) else None,
            shmem=ram.shmem,
            shm_total=ram.shm_total,
            shm_used=ram.shm_used,
            whys=whys,
        )
        return pooled(found)

    def quick(self) -> dict[str, int]:
        """What moves fast, in bytes: `ram` (used by everybody), `engine` (resident), `gpu0.vram`, `gpu0.gtt`.

        GPUs are numbered as in the sample before; what is unknown now is left out. Costs a tenth of a sample,
        never looks for new processes or GPUs.
        """
        ask_all([self._fast, *(patient for gpus in self._gpus for patient in gpus.quick_patients())])
        ram, engine = self._fast.answer().value or (None, 0)
        used = [each for gpus in self._gpus for each in gpus.quick()]
        found: dict[str, int | None] = {"ram": ram, "engine": engine or None}
        for number, each in enumerate(used):
            found |= {f"gpu{number}.vram": each.vram, f"gpu{number}.gtt": each.gtt}
        return {key: value for key, value in found.items() if value is not None}

    def _look(self) -> Machine:
        group = read_group(self._files, self._processes.pids[0])
        return Machine(read_ram(self._files), group, self._processes.look(), self._load.look())

    def _look_fast(self) -> tuple[int | None, int]:
        return used_now(self._files), self._processes.resident()

    def _look_pss(self) -> int | str:
        """Why it cannot be had, where it cannot."""
        began = time.monotonic()
        if not self._files.exists("/proc"):
            return "this system does not tell"
        try:
            return read_pss(self._files, self._processes.pids)
        except OSError as error:
            return f"/proc/PID/smaps_rollup: {word_of(error)}"
        except Unreadable as why:
            return f"/proc/PID/smaps_rollup: {why}"
        finally:
            now = time.monotonic()
            self._pss_due = now + max(PSS_EVERY, PSS_SHARE * (now - began))


_UNKNOWN = Machine(Ram(), Group(), Usage((), 0, 0, 0.0), 0.0)


class _Plain:
    """Readers that are one function: they answer at once, as tests' do."""

    def __init__(self, reader: GpuReader) -> None:
        self._reader = reader
        self._last: list[GpuSample] = []

    def patients(self) -> Sequence[Patient[Any]]:
        self._last = self._reader()
        return ()

    def samples(self) -> list[GpuSample]:
        return self._last

    def quick_patients(self) -> Sequence[Patient[Any]]:
        return ()

    def quick(self) -> list[Used]:
        return [Used(gpu.vram_used, gpu.gtt_used) for gpu in self._last]
