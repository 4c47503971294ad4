"""What allocations have shown of this machine's GPUs, remembered in the state folder. Starts nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import msgspec

from engine.files import write_atomic
from engine.monitor.computing import Calibration, Computing
from engine.paths import state_dir
from engine.protocol.errors import EngineError
from engine.protocol.specs import GpuSample
from engine.settings import current_settings

FILE = "calibration.json"
LIMIT = 1 << 20
"""Bytes of the file at most."""
KEPT = 8
"""Machines, drivers or torch builds that are remembered; the newest ones."""
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
AMDGPU_DRIVER = Path("/sys/module/amdgpu/version")
"""Exists for AMD's own driver package; the kernel's comes with its release."""
VARIABLES = (
    "HSA_OVERRIDE_GFX_VERSION",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "CUDA_VISIBLE_DEVICES",
)
"""That decide which GPU is used, and as what: with another value it is another trial."""


class _Record(msgspec.Struct, frozen=True, omit_defaults=True):
    key: str
    found: tuple[Calibration, ...] = ()


_kept: list[dict[str, str]] = []
"""VARIABLES as they were before a GPU was hidden from torch; empty until then."""
_seen: dict[Path, tuple[tuple[int, int], tuple[_Record, ...]]] = {}


def key(gpus: Sequence[GpuSample]) -> str:
    """Names these GPUs with their driver, the torch build and the variables that choose a GPU."""
    cards = ",".join(sorted(f"{gpu.name}@{gpu.address}" for gpu in gpus))
    words = ",".join(f"{name}={value}" for name, value in sorted(variables().items()))
    return "|".join((cards, _driver(), _torch(), words))


def variables() -> dict[str, str]:
    """Of VARIABLES those that are set, by the environment or for the engine by the settings."""
    if _kept:
        return _kept[0]
    env = current_settings().env | os.environ
    return {name: env[name] for name in VARIABLES if name in env}


def keep_variables() -> None:
    """Go on with VARIABLES as they are now, for the keys of this process."""
    _kept.append(variables())


def remembered(key: str) -> tuple[Calibration, ...] | None:
    """What trials of this key showed; None where there was none."""
    return next((record.found for record in _read() if record.key == key), None)


def remember(key: str, found: Sequence[Calibration]) -> None:
    """Keep it for later starts. Raises OSError, EngineError `state_unwritable`."""
    records = [record for record in _read() if record.key != key]
    records = [*records[-(KEPT - 1) :], _Record(key, tuple(found))]
    write_atomic(state_dir() / FILE, msgspec.json.encode(records))


def computing(gpus: Sequence[GpuSample]) -> Computing:
    """What is known of torch and these GPUs. Never raises; torch is not imported."""
    return Computing(makers(), remembered(key(gpus)) or ())


@cache
def makers() -> tuple[str, ...]:
    """Whose GPUs the installed torch is built for, by its package's version."""
    local = _torch().partition("+")[2]
    if local.startswith("rocm"):
        return ("amd",)
    if platform.system() == "Darwin":
        return ("apple",)
    if local.startswith("cpu") or not _torch():
        return ()
    return ("nvidia",)


def _read() -> tuple[_Record, ...]:
    """The file, read again once it has changed; what cannot be read is empty."""
    try:
        path = state_dir() / FILE
        status = path.stat()
        stamp = (status.st_mtime_ns, status.st_size)
        if path not in _seen or _seen[path][0] != stamp:
            data = path.read_bytes() if status.st_size <= LIMIT else b"[]"
            _seen[path] = (stamp, msgspec.json.decode(data, type=tuple[_Record, ...]))
        return _seen[path][1]
    except (OSError, EngineError, msgspec.DecodeError, UnicodeDecodeError):
        return ()


@cache
def _torch() -> str:
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return ""


@cache
def _driver() -> str:
    """The kernel's release, and the versions of drivers that do not come with it."""
    told = [platform.release()]
    for path in (NVIDIA_DRIVER, AMDGPU_DRIVER):
        try:
            told.append(path.read_text("utf-8", "replace").split("\n", 1)[0].strip()[:200])
        except OSError:
            continue
    return " ".join(told)
