"""The machine that figures belong to: its processor, the versions, and how fast its memory can be read."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import torch
from torch.nn.functional import linear

from engine.benching import BenchMachine
from engine.workers.device import THREADS, cpu_flags

BUFFER = 256 << 20
"""Bytes of the matrix that is read: more than a cache holds."""
WIDTH = 4096
REPEATS = 7
FLAGS = (
    *("avx2", "fma", "f16c", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8"),
    *("asimd", "asimddp", "bf16", "i8mm", "sve", "sve2"),
)
"""Instruction sets that kernels choose by, as /proc/cpuinfo spells them on x86 and ARM."""


def machine() -> BenchMachine:
    """Describe this machine and measure its memory, which takes some seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    kernel, speed = max(_bandwidths(), key=lambda pair: pair[1])
    torch.set_num_threads(threads)
    flags = cpu_flags()
    return BenchMachine(
        cpu=_cpu_name(),
        flags=tuple(flag for flag in FLAGS if flag in flags),
        threads=threads,
        python=platform.python_version(),
        torch=str(torch.__version__),
        transformers=version("transformers"),
        bandwidth_gb_s=speed / 1e9,
        kernel=kernel,
    )


def _bandwidths() -> Iterator[tuple[str, float]]:
    """Names of kernels, and the bytes a second that each reads of a matrix in one row's product with it."""
    for dtype in (torch.float32, torch.bfloat16):
        weight = torch.full((BUFFER // WIDTH // dtype.itemsize, WIDTH), 0.01, dtype=dtype)
        yield str(dtype).removeprefix("torch."), _read(linear, torch.ones(1, WIDTH, dtype=dtype), weight)
    packed = torch.ones(BUFFER // WIDTH, WIDTH, dtype=torch.int8)
    scales = torch.ones(len(packed), dtype=torch.bfloat16)
    row = torch.ones(1, WIDTH, dtype=torch.bfloat16)
    yield "int8", _read(torch.ops.aten._weight_int8pack_mm, row, packed, scales)


def _read(product: Callable[..., object], *factors: torch.Tensor) -> float:
    """Bytes a second of the fastest of several: what slows a read down is never the memory."""
    product(*factors)
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        product(*factors)
        seconds.append(time.perf_counter() - began)
    return BUFFER / min(seconds)


def _cpu_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return platform.processor() or platform.machine()
    for line in text.splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
