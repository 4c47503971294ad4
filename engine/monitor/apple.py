"""Apple's GPU: its memory is the machine's, and only a process with torch can say what it holds of it."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.monitor.gpus import Used
from engine.monitor.patience import Patient
from engine.protocol.specs import GpuSample

STALE = 5.0
"""Seconds after which what a worker told is called old."""


class MpsNumbers(NamedTuple):
    """What torch.mps tells a worker. Bytes."""

    allocated: int
    """`current_allocated_memory`: in tensors."""
    driver: int
    """`driver_allocated_memory`: with what torch keeps to itself."""
    recommended: int
    """`recommended_max_memory`: beyond it Metal slows down."""


class Handover:
    """Where a worker leaves its numbers and the monitor finds them: one assignment, safe between threads."""

    def __init__(self) -> None:
        self._kept: tuple[MpsNumbers, float] | None = None

    def put(self, numbers: MpsNumbers) -> None:
        """Called by a worker, now and then and after each load."""
        self._kept = numbers, time.monotonic()

    def look(self) -> tuple[MpsNumbers, float] | None:
        """The newest, and their age in seconds; None before the first."""
        kept = self._kept
        return None if kept is None else (kept[0], time.monotonic() - kept[1])


shared = Handover()
"""That of this process."""


class AppleReader:
    """Shapes what a worker told. Waits for nothing."""

    def __init__(self, handover: Handover | None = None, here: bool | None = None) -> None:
        """`here`: whether this is a Mac with Apple's own chip; None finds out."""
        self._handover = handover or shared
        apple = platform.system() == "Darwin" and platform.machine() == "arm64"
        self._here = apple if here is None else here

    def read(self) -> list[GpuSample]:
        return self.samples()

    def patients(self) -> Sequence[Patient[Any]]:
        return ()

    def samples(self) -> list[GpuSample]:
        if not self._here:
            return []
        kept = self._handover.look()
        if kept is None:
            why = "torch has not told its numbers yet"
            return [GpuSample("Apple GPU", "apple", integrated=True, why=why)]
        numbers, age = kept
        return [
            GpuSample(
                "Apple GPU",
                "apple",
                vram_total=_sound(numbers.recommended),
                ours_vram=_sound(max(numbers.driver, numbers.allocated)),
                integrated=True,
                age=age if age > STALE else 0.0,
                why="torch has not told newer numbers" if age > STALE else "",
            )
        ]

    def quick_patients(self) -> Sequence[Patient[Any]]:
        return ()

    def quick(self) -> list[Used]:
        return [Used()] if self._here else []


def _sound(count: int) -> int | None:
    return count if count > 0 else None
