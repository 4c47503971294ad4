"""Which base weights these are: a hash of every tensor's name, dtype and shape, and a sample of the bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from engine.models.headers import HEADER_LIMIT, Broken

SAMPLED = 64
"""Tensors of each file whose first bytes go in, evenly spread over the sorted names."""
SAMPLE_BYTES = 256
_known: dict[tuple[str, int, int], str] = {}


def fingerprint(folder: Path) -> str:
    """SHA-256 in hex over the safetensors files of a model; empty when it has none that can be read.

    Cheap (kilobytes read), equal for copies of the same weights wherever they lie, and different for a
    fine-tune, which touches every matrix.
    """
    files = sorted(folder.glob("*.safetensors"))
    digest = hashlib.sha256()
    try:
        for file in files:
            status = file.stat()
            key = (str(file), status.st_mtime_ns, status.st_size)
            if key not in _known:
                _known[key] = _of_file(file)
            digest.update(_known[key].encode())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, Broken):
        return ""  # damaged, or made to confuse: it matches nothing
    return digest.hexdigest() if files else ""


def _of_file(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > min(file.stat().st_size, HEADER_LIMIT):
            raise Broken("The header is longer than a header can be")
        tensors = json.loads(stream.read(length))
        tensors.pop("__metadata__", None)
        names = sorted(tensors)
        for name in names:
            digest.update(f"{name} {tensors[name]['dtype']} {tensors[name]['shape']}\n".encode())
        for name in names[:: max(1, len(names) // SAMPLED)]:
            begin, end = tensors[name]["data_offsets"]
            stream.seek(8 + length + begin)
            digest.update(stream.read(max(0, min(SAMPLE_BYTES, end - begin))))
    return digest.hexdigest()
