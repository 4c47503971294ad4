"""Writes a safetensors file tensor by tensor: the header first, then one tensor's bytes after another."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import BinaryIO

import torch

NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
DTYPES = {name: dtype for dtype, name in NAMES.items()}
ALIGN = 8


def write_safetensors(
    file: BinaryIO,
    tensors: Iterable[tuple[str, tuple[int, ...], torch.dtype]],
    get: Callable[[str], torch.Tensor],
    align: int = ALIGN,
) -> None:
    """Write these names, shapes and dtypes; `get` is called once a name. Raises OSError.

    The library's own writer first copies all of them. `align`: bytes at a multiple of which the first tensor
    begins; no gaps are allowed behind it.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end, names = 0, []
    for name, shape, dtype in tensors:
        begin, end = end, end + math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": NAMES[dtype], "shape": list(shape), "data_offsets": [begin, end]}
        names.append((name, dtype))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % align)
    file.write(len(text).to_bytes(8, "little") + text)
    for name, dtype in names:
        tensor = get(name).detach().to(dtype).contiguous()
        file.write(tensor.flatten().view(torch.uint8).numpy().data)
