"""One look at the machine: RAM, swap, CPU, the engine's own share, and the GPUs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

import psutil

from engine.monitor.amdgpu import AmdReader
from engine.monitor.nvidia import NvidiaReader
from engine.protocol.specs import GpuSample, MonitorSample

GpuReader = Callable[[], list[GpuSample]]
"""One vendor's GPUs; never raises."""


def gpu_readers() -> tuple[GpuReader, ...]:
    """The readers of this machine."""
    return (NvidiaReader().read, AmdReader().read)


SHORTEST = 0.2
"""Seconds over which a CPU share is taken at least."""


class Sampler:
    """Takes samples; each holds the CPU's load since the one before. Used from one thread."""

    def __init__(self, readers: Sequence[GpuReader] | None = None, pid: int | None = None) -> None:
        """`pid`: the engine's process, this one by default; its children count with it."""
        self._readers = tuple(gpu_readers() if readers is None else readers)
        self._engine = psutil.Process(os.getpid() if pid is None else pid)
        psutil.cpu_percent(None)
        _, _, self._spent = self._usage()
        self._at = time.monotonic()
        self._share = 0.0

    def sample(self) -> MonitorSample:
        """The machine now. Never raises for what cannot be read: such a number is 0, or None for a GPU."""
        ram, swap = psutil.virtual_memory(), psutil.swap_memory()
        now = time.monotonic()
        rss, mapped, spent = self._usage()
        used = sum(max(0.0, seconds - self._spent.get(pid, 0.0)) for pid, seconds in spent.items())
        elapsed = now - self._at
        # The kernel counts CPU time in ticks of 10 ms: over a shorter stretch a share means nothing.
        if elapsed >= SHORTEST:
            self._share = used / elapsed
            self._spent, self._at = spent, now
        return MonitorSample(
            at=time.time(),
            ram_total=ram.total,
            ram_available=ram.available,
            swap_total=swap.total,
            swap_used=swap.used,
            engine_rss=rss,
            engine_mapped=mapped,
            cpu=min(1.0, psutil.cpu_percent(None) / 100),
            engine_cpu=self._share,
            cores=psutil.cpu_count() or 1,
            gpus=tuple(gpu for reader in self._readers for gpu in reader()),
        )

    def _usage(self) -> tuple[int, int, dict[int, float]]:
        """Resident bytes of the engine and its children, those of files among them, CPU seconds by pid."""
        rss, mapped, spent = 0, 0, {}
        for process in self._processes():
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    memory = process.memory_info()
                    rss += memory.rss
                    mapped += getattr(memory, "shared", 0)  # where the system tells it: on Linux
            except psutil.Error:
                # It ended between the two looks.
                continue
            spent[process.pid] = times.user + times.system
        return rss, mapped, spent

    def _processes(self) -> list[psutil.Process]:
        try:
            return [self._engine, *self._engine.children(recursive=True)]
        except psutil.Error:
            return [self._engine]
