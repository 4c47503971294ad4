"""What a process holds and burns, read from /proc, and the slope of such figures over time."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Figures:
    """One reading of one process."""

    at: float
    """Seconds of the monotonic clock."""
    rss: int
    """Bytes resident (VmRSS)."""
    anon: int
    """Bytes of them that are its own (RssAnon): files that it maps left out."""
    descriptors: int
    threads: int
    cpu: float
    """Seconds of user and system time since it began."""


def read(pid: int) -> Figures | None:
    """The process as it stands; None once it is gone."""
    folder = Path("/proc", str(pid))
    try:
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        descriptors = len(os.listdir(folder / "fd"))
    except (FileNotFoundError, ProcessLookupError):
        return None
    if "VmRSS" not in status:  # a zombie
        return None
    return Figures(
        time.monotonic(),
        _bytes(status["VmRSS"]),
        _bytes(status["RssAnon"]),
        descriptors,
        int(status["Threads"]),
        (int(fields[11]) + int(fields[12])) / TICK,
    )


def share(first: Figures, last: Figures) -> float:
    """CPU between two readings, of one core."""
    return (last.cpu - first.cpu) / max(last.at - first.at, 1e-9)


def of_home(home: Path) -> dict[int, str]:
    """Every live process whose state folder lies in this home, with its command line.

    A child keeps the environment that it was started with, so nothing of this home escapes.
    """
    mark = f"XDG_STATE_HOME={home}".encode()
    found: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if not any(each.startswith(mark) for each in (folder / "environ").read_bytes().split(b"\0")):
                continue
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if words:
            found[int(folder.name)] = words
    return found


@dataclass(frozen=True)
class Slope:
    """A straight line through points, by least squares."""

    per_hour: float
    error: float
    """Standard error of `per_hour`; what neighbouring points have in common is allowed for."""

    @property
    def at_least(self) -> float:
        """What the points still prove: two standard errors below."""
        return self.per_hour - 2 * self.error


def slope(points: Sequence[tuple[float, float]]) -> Slope:
    """Fit (seconds, value) pairs. Raises ValueError with fewer than three."""
    count = len(points)
    if count < 3:
        raise ValueError(f"{count} points make no slope")
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if not spread:
        raise ValueError("all points are of one moment")
    rise = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    rests = [y - mean_y - rise * (x - mean_x) for x, y in points]
    squares = sum(rest * rest for rest in rests)
    # An allocator's waves last for many points: so many fewer of them are independent (Santer et al. 2000).
    alike = sum(a * b for a, b in zip(rests, rests[1:], strict=False)) / squares if squares else 0.0
    alike = min(max(alike, 0.0), 0.95)
    independent = count * (1 - alike) / (1 + alike)
    error = (squares / max(independent - 2, 0.5) / spread) ** 0.5
    return Slope(rise * 3600, error * 3600)


def _bytes(field: str) -> int:
    return int(field.split()[0]) << 10
