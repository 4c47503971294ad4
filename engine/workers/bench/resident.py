"""How much memory this process has, as the kernel counts it."""

from __future__ import annotations

from pathlib import Path

import psutil


def resident() -> int:
    """Bytes resident now."""
    return int(psutil.Process().memory_info().rss)


def highest() -> int:
    """Bytes resident at the highest, pages of files included.

    Not getrusage's ru_maxrss, which begins with what the parent had before this process was started.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return resident()
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")), resident())
