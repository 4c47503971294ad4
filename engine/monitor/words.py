"""Numbers of memory in words, for lines that the engine writes itself."""

from __future__ import annotations

_MIB = 1 << 20


def gib(count: int) -> str:
    """Bytes as `4.2 GiB`, or as `310 MiB` below one."""
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / _MIB:.0f} MiB"
