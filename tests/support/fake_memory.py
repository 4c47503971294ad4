"""Memory of a made-up mini-PC: a 780M that computes in RAM lent to it, and records of runs."""

from __future__ import annotations

import math
from typing import Any, cast

from engine.api import commands, memory, runs, specs
from tests.support.fake_engine import FakeEngine

G = 1 << 30
START = 1_000_000.0
"""Unix time at which everything here begins."""
GPU = "AMD Radeon 780M Graphics"


def gtt(ours: float | None = 6.1, **changes: Any) -> memory.Pool:
    """RAM lent to the GPU, in GiB."""
    held = None if ours is None else int(ours * G)
    fields: dict[str, Any] = {
        "total": 16 * G,
        "used": None if held is None else held + int(0.9 * G),
        "ours": held,
        "ceiling": int(15.2 * G),
        "main": True,
        "shared": True,
        "basis": "measured",
        "source": "card1/device/mem_info_gtt_used, bytes",
    }
    return memory.Pool("gpu0.gtt", "gtt", "RAM lent to the GPU (GTT)", GPU, **(fields | changes))


CARVE_OUT = memory.Pool(
    "gpu0.vram", "vram", "set aside by the firmware", GPU, G // 2, int(0.49 * G), 0, G // 2, shared=True
)
RAM = memory.Pool(
    "ram", "ram", "RAM", "", int(23.4 * G), int(9.8 * G), int(6.3 * G), int(19.9 * G), source="/proc/meminfo"
)
HOLDINGS = tuple(
    memory.Holding(cast(memory.Part, part), int(held * G), label, "gpu0.gtt")
    for part, held, label in (
        ("model", 3.4, "Qwen3-1.7B"),
        ("cache", 0.4, ""),
        ("adapter", 0.1, "legal-r16"),
        ("optimiser", 0.2, "legal-r16"),
        ("activations", 1.6, "legal-r16"),
    )
)


def sample(
    at: float = START, ours: float = 6.1, most: float | None = None, **changes: Any
) -> specs.MonitorSample:
    """One second of that machine; `most` is a spike since the second before."""
    pool = gtt(ours)
    used, high = pool.used or 0, int(((most or ours) + 0.9) * G)
    gpu = specs.GpuSample(
        GPU,
        "amd",
        G // 2,
        int(0.49 * G),
        16 * G,
        used,
        busy=0.92,
        integrated=True,
        temperature=71.0,
        power=38.0,
    )
    fields: dict[str, Any] = {
        "at": at,
        "ram_total": int(23.4 * G),
        "ram_available": int(13.6 * G),
        "swap_total": 2 * G,
        "engine_rss": int(0.9 * G),
        "cpu": 0.34,
        "engine_cpu": 1.6,
        "cores": 8,
        "gpus": (gpu,),
        "pools": (pool, RAM, CARVE_OUT),
        "holdings": HOLDINGS,
        "torch": (memory.TorchMemory("cuda:0", int(5.6 * G), int(5.9 * G), int(6.9 * G), retries=2),),
        "pressure": memory.Pressure(0.4, 0.1),
        "swings": {"gpu0.gtt": memory.Swing(used - (100 << 20), high)},
        "engine_pss": int(0.8 * G),
        "shm_total": int(11.7 * G),
    }
    return specs.MonitorSample(**(fields | changes))


def short(level: memory.Level, why: str, **changes: Any) -> specs.MonitorSample:
    """The same machine when its memory is short."""
    return sample(
        strain=memory.Strain(level, why, START), pressure=memory.Pressure(14.0, 9.0, 6.0, 1.0), **changes
    )


def record(start: float, held: float, seconds: int, *, holdings: bool = True) -> commands.MemoryPage:
    """A run that loads for eight seconds, trains, and holds an eighth more in each evaluation (GiB)."""
    points = []
    for second in range(1, seconds + 1):
        loads = second <= 8
        ours = held * (0.55 if loads else 1) * (1 + 0.01 * math.sin(second / 9))
        most = ours * (1.125 if second % 25 == 0 else 1.02)
        points.append(
            commands.MemoryPoint(
                start + second,
                int((ours + 0.9) * G),
                int(ours * G),
                int(ours * 0.98 * G),
                int(most * G),
                0.0 if loads else 240 + 20 * math.sin(second / 3),
                0 if loads else second - 8,
                None if loads else 1.5 + 2 * math.exp(-second / 40),
            )
        )
    parts = (("model", 0.55), ("adapter", 0.02), ("optimiser", 0.08), ("activations", 0.3))
    what = tuple(memory.Holding(cast(memory.Part, part), int(share * held * G)) for part, share in parts)
    return commands.MemoryPage(
        tuple(points), marks(start, held, seconds), "gpu0.gtt", what if holdings else ()
    )


def marks(start: float, held: float, seconds: int) -> tuple[runs.PhaseMark, ...]:
    """Its phases, with the peak of the one before each."""
    found = [
        runs.PhaseMark("load", start),
        runs.PhaseMark("first step", start + 8, 1, peak=int(0.6 * held * G)),
        runs.PhaseMark("train", start + 10, 2, peak=int(held * G)),
    ]
    for second in range(25, seconds, 25):
        found.append(runs.PhaseMark("eval", start + second - 1, second, peak=int(1.03 * held * G)))
        found.append(runs.PhaseMark("train", start + second + 2, second, peak=int(1.125 * held * G)))
    return tuple(found)


def keeps_records(engine: FakeEngine, pages: dict[str, commands.MemoryPage]) -> None:
    """Have the engine answer ReadMemory by run; of all others it has nothing."""
    engine.answers[commands.ReadMemory] = lambda asked: pages.get(asked.run, commands.MemoryPage())
