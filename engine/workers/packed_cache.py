"""Packed weights on disk, so that the next load of the same model packs nothing."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from engine.files import replacing
from engine.models.headers import HEADER_LIMIT, Broken, check_file
from engine.paths import cache_dir
from engine.protocol.errors import EngineError
from engine.workers.safe_file import write_safetensors

VERSION = 1
"""Of the packing; another one makes every kept file useless."""
LIMIT = 32 << 30
"""Bytes of all kept files together; those used longest ago go first."""
SPARE = 2 << 30
"""Bytes of the disk that keeping must leave free."""
ABANDONED_S = 3600.0
"""Age of a half-written file whose writer must be gone."""
ALIGNED = 64
"""Bytes: torch's kernels load weights as if they began where its own allocator begins them, or crash."""
Layout = Mapping[str, tuple[torch.dtype, tuple[int, ...]]]

log = logging.getLogger(__name__)


def cache_key(folder: Path, quant: str, dtype: torch.dtype) -> str:
    """Names the packing of these files, as hex; empty when the files cannot be read.

    Torch and the processor's instruction set belong to it: they decide how 4 bits are laid out.
    """
    digest = hashlib.sha256()
    machine = torch.backends.cpu.get_cpu_capability()
    digest.update(f"{VERSION} {quant} {dtype} {torch.__version__} {machine}\n".encode())
    try:
        for file in sorted(folder.glob("*.safetensors")):
            status = file.stat()
            digest.update(f"{file.name} {status.st_size} {status.st_mtime_ns}\n".encode())
            with file.open("rb") as stream:
                length = int.from_bytes(stream.read(8), "little")
                digest.update(stream.read(min(length, HEADER_LIMIT)))
        digest.update((folder / "config.json").read_bytes())
    except OSError:
        return ""
    return digest.hexdigest()[:32]


def read(key: str, layout: Layout) -> dict[str, torch.Tensor] | None:
    """The tensors kept under this key, mapped; None when there are none. A broken file is thrown away."""
    if not key:
        return None
    try:
        file = _folder() / f"{key}.safetensors"
        if not file.is_file():
            return None
        check_file(file)
        with safe_open(file, "pt") as stored:
            tensors = {name: _aligned(stored.get_tensor(name)) for name in stored.keys()}  # noqa: SIM118
        if {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()} != dict(layout):
            raise Broken("It holds other tensors")
        os.utime(file)
    except (Broken, SafetensorError, ValueError) as error:
        log.warning("The packed weights %s are broken (%s); they are packed again", key, error)
        file.unlink(missing_ok=True)
        return None
    except (OSError, EngineError) as error:
        log.warning("The packed weights %s cannot be read: %s", key, error)
        return None
    return tensors


def keep(key: str, tensors: Mapping[str, torch.Tensor]) -> bool:
    """Store them, whole or not at all, within the limit. A disk that is full keeps nothing; never raises."""
    size = sum(tensor.nbytes for tensor in tensors.values())
    if not key or size > LIMIT:
        return False
    try:
        folder = _folder()
        _make_room(folder, size)
        if shutil.disk_usage(folder).free < size + SPARE:
            return False
        _write(folder / f"{key}.safetensors", tensors)
    except (OSError, EngineError) as error:
        log.warning("The packed weights are not kept: %s", error)
        return False
    return True


def _aligned(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor itself, mapped, or a copy where it begins at an odd place."""
    return tensor if tensor.data_ptr() % ALIGNED == 0 else tensor.clone()


def _folder() -> Path:
    folder = cache_dir() / "packed"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _make_room(folder: Path, size: int) -> None:
    """Drop the files used longest ago, and what a killed engine left half written."""
    for temp in folder.glob(".*.tmp"):
        if time.time() - temp.stat().st_mtime > ABANDONED_S:
            temp.unlink(missing_ok=True)
    files = sorted(folder.glob("*.safetensors"), key=lambda file: file.stat().st_mtime)
    held = sum(file.stat().st_size for file in files)
    for file in files:
        if held + size <= LIMIT:
            return
        held -= file.stat().st_size
        file.unlink(missing_ok=True)


def _write(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    # No gaps are allowed: what is not a whole number of steps long goes last, or it moves all behind it.
    ordered = sorted(tensors.items(), key=lambda item: item[1].nbytes % ALIGNED != 0)
    entries = [(name, tuple(tensor.shape), tensor.dtype) for name, tensor in ordered]
    with replacing(path) as file:
        write_safetensors(file, entries, tensors.__getitem__, ALIGNED)
