"""Drops pages of weight files that a load has read and copied, so that a model is never held twice."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

_DONTNEED = 4
"""MADV_DONTNEED of Linux: pages of a file leave this process, and come back when they are read again."""


class SourcePages:
    """The pages of a model's weight files that this process maps from now on. Does nothing but on Linux."""

    def __init__(self, folder: Path) -> None:
        # Links, as the Hugging Face cache has them, are mapped under the name of what they lead to.
        self._files = {str(file.resolve()) for file in folder.glob("*.safetensors")}
        self._before = set(self._ranges())

    def drop(self) -> None:
        """Give back what is resident. The weights must not have been written to since they were mapped."""
        for start, end in self._ranges():
            if (start, end) not in self._before:  # another load of the same files may be in use
                _madvise()(start, end - start, _DONTNEED)

    def _ranges(self) -> Iterable[tuple[int, int]]:
        if sys.platform != "linux" or not self._files:
            return []
        try:
            lines = Path("/proc/self/maps").read_text("utf-8", "surrogateescape").splitlines()
        except OSError:
            return []
        found = []
        for line in lines:
            fields = line.split(maxsplit=5)
            if len(fields) == 6 and fields[5] in self._files:
                start, _, end = fields[0].partition("-")
                found.append((int(start, 16), int(end, 16)))
        return found


@cache
def _madvise() -> Any:
    call = ctypes.CDLL(None).madvise
    call.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return call
