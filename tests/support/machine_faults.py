"""Faults of single files of a recorded machine, and what a sample must still be under each."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

from engine.protocol.specs import GpuSample, MonitorSample
from tests.support.machine_tree import machine

MOST = 1 << 50
"""Bytes; no counter is larger."""
PLAIN = ("ram_total", "ram_available", "swap_total", "swap_used", "engine_rss")
"""Fields whose 0 is unknown."""
BOUNDS = {"busy": 1.0, "memory_busy": 1.0, "power": 5000.0, "temperature": 200.0, "clock": 2e10}


def failing(number: int) -> Callable[[bytes], bytes]:
    """A file that answers with an error."""

    def fail(_: bytes) -> bytes:
        raise OSError(number, os.strerror(number))

    return fail


def _negated(text: bytes) -> bytes:
    return b"".join(b"-" + word if word[:1].isdigit() else word for word in _words(text))


def _swollen(text: bytes) -> bytes:
    return b"".join(word + b"9" * 18 if word[:1].isdigit() else word for word in _words(text))


def _words(text: bytes) -> list[bytes]:
    """With what stands between them, so that joined they are the text again."""
    return [word + b" " for word in text.split(b" ")]


FAULTS: dict[str, Callable[[bytes], bytes]] = {
    "missing": failing(errno.ENOENT),
    "busy": failing(errno.EBUSY),
    "gone": failing(errno.ENODEV),
    "not allowed": failing(errno.EACCES),
    "garbage": lambda _: b"\xff\x00\x1b[2J \xe2\x80\xae:=,\n" * 3,
    "empty": lambda _: b"",
    "negative": _negated,
    "huge": _swollen,
    "largest": lambda _: b"18446744073709551615\n",
    "cut off": lambda text: text[: len(text) // 2],
}
KINDS = list(FAULTS)
SAME = ("/proc/424", "/proc/pressure", "/proc/stat", "/usr/share")
"""Files that are alike on all machines."""


class Hang:
    """A file that answers once it is let go."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def __call__(self, text: bytes) -> bytes:
        self.released.wait(60)
        return text


def readers() -> int:
    """Threads that read, hanging ones among them."""
    return sum(thread.name == "monitor reader" for thread in threading.enumerate())


def troubles(sample: MonitorSample, sound: MonitorSample) -> list[str]:
    """What is wrong with a sample under a fault: impossible numbers, and unknown ones without a reason."""
    found = []
    for field in (
        "ram_total",
        "ram_available",
        "swap_total",
        "swap_used",
        "engine_rss",
        "shmem",
        "limit_used",
    ):
        value = getattr(sample, field)
        if value is not None and not 0 <= value <= MOST:
            found.append(f"{field} is {value}")
        without = field == "limit_used" and sample.limit is None
        unknown = value is None or (value == 0 and field in PLAIN)
        if unknown and getattr(sound, field) and field not in sample.whys and not without:
            found.append(f"{field} has no reason")
    if sample.pressure is None and sound.pressure is not None and "pressure" not in sample.whys:
        found.append("pressure has no reason")
    if not 0 <= sample.engine_cpu <= sample.cores:
        found.append(f"engine_cpu is {sample.engine_cpu}")
    before = {gpu.address: gpu for gpu in sound.gpus}
    for gpu in sample.gpus:
        found += _troubles_of(gpu, before.get(gpu.address))
    return found


def _troubles_of(gpu: GpuSample, sound: GpuSample | None) -> list[str]:
    found = []
    for field in gpu.__struct_fields__:
        value = getattr(gpu, field)
        if isinstance(value, (int, float)) and not 0 <= value <= BOUNDS.get(field, MOST):
            found.append(f"{gpu.name}: {field} is {value}")
        known = sound is not None and getattr(sound, field) is not None
        if value is None and known and field != "integrated" and not gpu.why:
            found.append(f"{gpu.name}: {field} has no reason")
    return found


def spoiled(name: str, folder: Path, *, each: bool = False) -> int:
    """Take samples of a machine with one file after the other at fault; how many.

    `each`: every file with every fault, else one in turn for each.
    """
    sampler, files = machine(name, folder)
    sound = sampler.sample()
    count = 0
    for number, path in enumerate(files.paths()):
        if not each and path.startswith(SAME) and name not in ("radeon-780m-small", "container"):
            continue
        for kind in KINDS if each else [KINDS[number % len(KINDS)]]:
            files.faults = {path: FAULTS[kind]}
            found = troubles(sampler.sample(), sound)
            assert found == [], (path, kind)
            sampler.quick()
            count += 1
    files.faults = {}
    assert [gpu.name for gpu in sampler.sample().gpus] == [gpu.name for gpu in sound.gpus]
    return count
