"""RAM of the machine: what is free, swap, what POSIX shared memory holds, how long tasks wait for memory."""

from __future__ import annotations

from typing import NamedTuple

import psutil

from engine.monitor.files import Files, Unreadable, number, word_of
from engine.protocol.memory import Pressure

MEMINFO = "/proc/meminfo"
PRESSURE = "/proc/pressure/memory"
SHM = "/dev/shm"
"""Where loaders of data keep what their processes share; 64 MB in a container of Docker's."""


class Ram(NamedTuple):
    """Bytes; None is unknown, with the reason in `whys` by the field's name in MonitorSample."""

    total: int | None = None
    available: int | None = None
    swap_total: int | None = None
    swap_used: int | None = None
    shmem: int | None = None
    shm_total: int | None = None
    shm_used: int | None = None
    pressure: Pressure | None = None
    whys: dict[str, str] = {}


def read_ram(files: Files) -> Ram:
    """The machine's, whatever a container may use of it. Never raises."""
    if not files.exists("/proc"):
        return _elsewhere()
    whys: dict[str, str] = {}
    facts = meminfo(files, whys)
    total, available = _kept(facts, "MemTotal", "ram_total", whys), _available(facts, whys)
    swap, free = _kept(facts, "SwapTotal", "swap_total", whys), _kept(facts, "SwapFree", "swap_used", whys)
    shm_total, shm_used = _shm(files, whys)
    return Ram(
        total=total,
        available=available if available is None or total is None else min(available, total),
        swap_total=swap,
        swap_used=None if swap is None or free is None else max(0, swap - free),
        shmem=_kept(facts, "Shmem", "shmem", whys),
        shm_total=shm_total,
        shm_used=shm_used,
        pressure=read_pressure(files, PRESSURE, whys),
        whys=whys,
    )


def used_now(files: Files) -> int | None:
    """Bytes of RAM that are not available, by one short look."""
    if not files.exists("/proc"):
        found = _elsewhere()
        return (found.total or 0) - (found.available or 0)
    try:
        text = files.read(MEMINFO)
        return max(0, _of(text, b"MemTotal:") - _of(text, b"MemAvailable:"))
    except OSError:
        return None
    except Unreadable:  # before Linux 3.14, or nonsense
        facts = meminfo(files, {})
        total, available = facts.get("MemTotal"), _available(facts, {})
        return None if total is None or available is None else max(0, total - available)


def meminfo(files: Files, whys: dict[str, str]) -> dict[str, int]:
    """/proc/meminfo in bytes (man 5 proc: its kB are KiB)."""
    try:
        lines = files.read(MEMINFO).decode("ascii", "replace").splitlines()
    except OSError as error:
        whys["ram_total"] = whys["ram_available"] = f"{MEMINFO}: {word_of(error)}"
        return {}
    found: dict[str, int] = {}
    for line in lines:
        key, _, rest = line.partition(":")
        words = rest.split()
        try:
            found[key] = number(words[0] if words else "") << 10
        except Unreadable as why:
            whys[key] = f"{MEMINFO}: {key} is {why}"
    return found


def _of(text: bytes, key: bytes) -> int:
    """Bytes. Raises Unreadable."""
    words = text[text.find(key) + len(key) :].split(None, 1) if key in text else []
    return number(words[0].decode("ascii", "replace") if words else "") << 10


def read_pressure(files: Files, path: str, whys: dict[str, str]) -> Pressure | None:
    """A file of pressure stall information; None where the kernel does not tell."""
    try:
        lines = files.read(path).decode("ascii", "replace").splitlines()
        shares = {line.split()[0]: _shares(line) for line in lines if line.strip()}
        some, full = shares["some"], shares.get("full", {})
        return Pressure(some["avg10"], some["avg60"], full.get("avg10", 0.0), full.get("avg60", 0.0))
    except OSError as error:
        whys["pressure"] = f"{path}: {word_of(error)}"
    except (KeyError, ValueError):
        whys["pressure"] = f"{path}: no numbers"
    return None


def _shares(line: str) -> dict[str, float]:
    """Raises ValueError."""
    found: dict[str, float] = {}
    for word in line.split()[1:]:
        key, _, text = word.partition("=")
        if key.startswith("avg"):
            found[key] = float(text)
            if not 0.0 <= found[key] <= 100.0:
                raise ValueError
    return found


def _available(facts: dict[str, int], whys: dict[str, str]) -> int | None:
    if "MemAvailable" not in facts and "MemFree" in facts:  # before Linux 3.14
        return sum(facts.get(key, 0) for key in ("MemFree", "Buffers", "Cached"))
    return _kept(facts, "MemAvailable", "ram_available", whys)


def _kept(facts: dict[str, int], key: str, field: str, whys: dict[str, str]) -> int | None:
    why = whys.pop(key, "")
    if key not in facts:
        whys.setdefault(field, why or f"{MEMINFO}: {key} is missing")
    return facts.get(key)


def _shm(files: Files, whys: dict[str, str]) -> tuple[int | None, int | None]:
    try:
        return files.space(SHM)
    except OSError as error:
        whys["shm_total"] = whys["shm_used"] = f"{SHM}: {word_of(error)}"
        return None, None


def _elsewhere() -> Ram:
    """Where there is no /proc: by psutil."""
    ram, swap = psutil.virtual_memory(), psutil.swap_memory()
    whys = dict.fromkeys(("shmem", "shm_total", "shm_used", "pressure"), "this system does not tell")
    return Ram(ram.total, ram.available, swap.total, swap.used, whys=whys)
