"""How busy the CPU is: shares of its time between two looks."""

from __future__ import annotations

import time

import psutil

from engine.monitor.files import Files, Unreadable, number

STAT = "/proc/stat"
SHORTEST = 0.1
"""Seconds over which a share is taken at least."""


class Load:
    """Each look tells the share since the one before; the first one has none."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._linux = files.exists("/proc")
        self._before = self._times()
        self._at = time.monotonic()
        self._share = 0.0

    def look(self) -> float:
        """0 to 1 over all cores; the last one known where it cannot be read."""
        now, times = time.monotonic(), self._times()
        if times is None or now - self._at < SHORTEST:
            return self._share
        if self._before is not None:
            spent, idle = (new - old for new, old in zip(times, self._before, strict=True))
            self._share = min(1.0, max(0.0, 1 - idle / spent)) if spent > 0 else self._share
        self._before, self._at = times, now
        return self._share

    def _times(self) -> tuple[float, float] | None:
        """(all time, idle time) of all cores together; the unit plays no part (man 5 proc, /proc/stat)."""
        if not self._linux:
            times = psutil.cpu_times()
            return sum(times), times.idle
        try:
            words = self._files.line(STAT).split()
            ticks = [number(word) for word in words[1:9]]
        except (OSError, Unreadable):
            return None
        # user nice system idle iowait irq softirq steal; a guest's time is in the user's already.
        return (sum(ticks), ticks[3] + ticks[4]) if words[:1] == ["cpu"] and len(ticks) == 8 else None
