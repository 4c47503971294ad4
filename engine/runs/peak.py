"""The engine's resident memory while a run is active: now, and the peak of each phase."""

from __future__ import annotations

import threading

import psutil

PERIOD = 0.2
"""Seconds between two looks."""


class PeakWatch:
    """Looks from a small thread of its own, so that a peak inside a long step is seen. Bytes."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._peak = 0
        self.overall = 0
        """Since the start."""
        self.look()
        threading.Thread(target=self._work, name="peak", daemon=True).start()

    def look(self) -> int:
        """Resident now; counts for the peaks."""
        resident: int = self._process.memory_info().rss
        with self._lock:
            self._peak = max(self._peak, resident)
            self.overall = max(self.overall, resident)
        return resident

    def turn(self) -> tuple[int, int]:
        """(resident now, peak since the last turn); the next phase's peak begins here."""
        resident = self.look()
        with self._lock:
            peak, self._peak = self._peak, resident
        return resident, peak

    def stop(self) -> None:
        self._stopped.set()

    def _work(self) -> None:
        while not self._stopped.wait(PERIOD):
            self.look()
