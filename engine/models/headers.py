"""Reads the headers of safetensors files: shapes and dtypes, never the weights themselves."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

HEADER_LIMIT = 32 << 20
"""Bytes of a header at most: some five times that of the largest file known, and read in a second."""
CONFIG_LIMIT = 4 << 20
"""Bytes of a config.json at most."""
JSON_LIMIT = 64 << 20
"""Bytes of any other JSON file of a model at most."""
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8",
    "F8_E5M2": "float8",
    "I8": "int8",
    "U8": "uint8",
    "I32": "int32",
}


class Broken(Exception):
    """The weights cannot be used; the message is one sentence that says what a person can do."""


class Weights(msgspec.Struct, frozen=True):
    """What the headers tell."""

    parameters: int
    bytes_on_disk: int
    dtype: str
    """Of most parameters."""


def read_weights(folder: Path) -> Weights:
    """Parameters, bytes and dtype of a model's folder. Raises Broken."""
    files = _shards(folder)
    counts: Counter[str] = Counter()
    for file in files:
        for tensor in _header(file):
            counts[str(tensor["dtype"])] += math.prod(tensor["shape"])
    if not counts:
        raise Broken("Its weights hold no tensors; download it again")
    most = counts.most_common(1)[0][0]
    size = sum(file.stat().st_size for file in files)
    return Weights(counts.total(), size, DTYPES.get(most, most.lower()))


def tensor_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of a model's folder by its name. Raises Broken."""
    return {name: shape for file in _shards(folder) for name, shape in shapes_of(file).items()}


def read_json(path: Path, limit: int = JSON_LIMIT) -> dict[str, Any]:
    """A JSON object from a regular file. Raises Broken."""
    try:
        if not path.is_file():
            raise Broken(f"Its {path.name} is missing; download the model again")
        if path.stat().st_size > limit:
            raise Broken(f"Its {path.name} is too large to be genuine; download the model again")
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise Broken(f"Its {path.name} cannot be read ({error.strerror}); make it readable") from error
    except (ValueError, RecursionError) as error:
        raise Broken(f"Its {path.name} is not valid JSON; download the model again") from error
    if not isinstance(data, dict):
        raise Broken(f"Its {path.name} holds no JSON object; download the model again")
    return data


def _shards(folder: Path) -> list[Path]:
    single = folder / SINGLE
    if single.is_file():
        return [single]
    if (folder / INDEX).is_file():
        return _indexed(folder)
    if next(folder.glob("*.gguf"), None):
        raise Broken("It has GGUF weights only; choose the safetensors version of this model")
    if next(folder.glob("*.bin"), None) or next(folder.glob("*.pt"), None):
        raise Broken("It has pickled .bin weights only, which can run code; choose a safetensors version")
    if next(folder.glob("*.safetensors"), None):
        raise Broken(f"Its weights are not named {SINGLE}, and there is no index; download it again")
    raise Broken("Its weights are missing; download the model again")


def _indexed(folder: Path) -> list[Path]:
    table = read_json(folder / INDEX).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise Broken(f"Its {INDEX} names no files; download the model again")
    names = sorted({str(name) for name in table.values()})
    for name in names:
        if name != Path(name).name or "\x00" in name or not name.endswith(".safetensors"):
            raise Broken(f"Its {INDEX} names a file outside of its folder; get the model from its maker")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise Broken(f"{len(missing)} of its {len(names)} weight files are missing; download it again")
    return [folder / name for name in names]


def check_file(file: Path) -> None:
    """Raise Broken unless this is a whole safetensors file, as far as its header and its size tell."""
    if not _header(file):
        raise Broken(f"Its {file.name} holds no tensors; download it again")


def shapes_of(file: Path) -> dict[str, tuple[int, ...]]:
    """Name and shape of each tensor of one file. Raises Broken."""
    return {name: tuple(tensor["shape"]) for name, tensor in tensor_table(file).items()}


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model's folder, by name. Raises Broken."""
    return _shards(folder)


def _header(file: Path) -> list[dict[str, Any]]:
    """The tensors' entries of one file. Raises Broken when it is corrupt or cut off."""
    return list(tensor_table(file).values())


def tensor_table(file: Path) -> dict[str, dict[str, Any]]:
    """The tensors' entries of one file by name: `dtype`, `shape`, `data_offsets`. Raises Broken."""
    damaged = Broken(f"Its {file.name} is damaged or cut off; download the model again")
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(HEADER_LIMIT, size - 8):
                raise damaged
            header = json.loads(stream.read(length))
    except OSError as error:
        raise Broken(f"Its {file.name} cannot be read ({error.strerror}); make it readable") from error
    except (ValueError, RecursionError) as error:
        raise damaged from error
    if not isinstance(header, dict):
        raise damaged
    header.pop("__metadata__", None)
    tensors = list(header.values())
    if not all(map(_sound, tensors)):
        raise damaged
    end = max((tensor["data_offsets"][1] for tensor in tensors), default=0)
    if 8 + length + end != size:
        raise damaged
    return header


def _sound(tensor: object) -> bool:
    if not isinstance(tensor, dict) or not isinstance(tensor.get("dtype"), str):
        return False
    shape, offsets = tensor.get("shape"), tensor.get("data_offsets")
    return _sizes(shape) and _sizes(offsets) and isinstance(offsets, list) and len(offsets) == 2


def _sizes(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)
