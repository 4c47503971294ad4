"""How many bytes a second this machine's memory gives to all cores together, without torch."""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
import time
from functools import cache

SPAN = 96 << 20
"""Bytes that are read: more than the caches of most machines hold."""
PASSES = 4
"""The quickest pass counts: others may have been disturbed."""
MOST_THREADS = 16
_SHIFT = 64


@cache
def memory_bandwidth() -> float:
    """Bytes a second; 0.0 where it cannot be measured. Takes about 0.1 s once, and lets other threads run.

    Each core compares a stretch of a constant buffer with itself one cache line on, so that every byte comes
    from memory once. That is C code without the interpreter's lock.
    """
    try:
        compare = ctypes.CDLL(None).memcmp
        buffer = mmap.mmap(-1, SPAN)
    except (OSError, AttributeError, TypeError):
        return 0.0
    compare.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    view = ctypes.c_char.from_buffer(buffer)
    try:
        start = ctypes.addressof(view)
        ctypes.memset(start, 1, SPAN)
        return max(_read(compare, start) for _ in range(PASSES))
    finally:
        del view
        buffer.close()


def _read(compare: ctypes._NamedFuncPointer, start: int) -> float:
    """Bytes a second of one pass over the buffer, each core's own time counted alone."""
    count = max(1, min(MOST_THREADS, os.cpu_count() or 1))
    length = SPAN // count
    spent: list[float] = []

    def read(place: int) -> None:
        began = time.thread_time()
        compare(start + place * length, start + place * length + _SHIFT, length - _SHIFT)
        spent.append(time.thread_time() - began)

    threads = [threading.Thread(target=read, args=(place,)) for place in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count * length / max(spent) if spent and max(spent) > 0 else 0.0
