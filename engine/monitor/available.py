"""RAM that can still be had, for whoever is about to take some: within the limit of a container, too."""

from __future__ import annotations

import os

import psutil

from engine.monitor.cgroup import read_group
from engine.monitor.files import Files


def available_ram(files: Files | None = None, pid: int = 0) -> int:
    """Bytes that this process (or `pid`) can take. psutil alone tells a container what its host has."""
    free = int(psutil.virtual_memory().available)
    group = read_group(files or Files(), pid or os.getpid())
    if group.limit is None or group.used is None:
        return free
    return max(0, min(free, group.limit - group.used))
