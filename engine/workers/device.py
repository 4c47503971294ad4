"""Where a model runs, in which dtype, and how memory is given back."""

from __future__ import annotations

import ctypes
import errno
import gc
import sys
from pathlib import Path

import torch

from engine.protocol.errors import EngineError, fault

SMALL = 30_000_000
"""Parameters below which one thread is the fastest."""
THREADS = torch.get_num_threads()
"""What torch, or OMP_NUM_THREADS, chose for this machine."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_device() -> torch.device:
    """The GPU where torch sees one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def pick_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """By name; empty picks bfloat16 where it is fast, else float32. Raises EngineError `bad_dtype`."""
    if wanted:
        if wanted not in DTYPES:
            raise fault("bad_dtype", f"There is no dtype {wanted}", remedy=f"Use one of {', '.join(DTYPES)}")
        return DTYPES[wanted]
    return torch.bfloat16 if fast_bfloat16(device) else torch.float32


def dtype_name(dtype: torch.dtype) -> str:
    """`bfloat16` for torch.bfloat16."""
    return str(dtype).removeprefix("torch.")


def device_name(device: torch.device) -> str:
    """`cpu`, `mps`, or the name of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def device_words(device: torch.device) -> str:
    """`cpu`, `mps`, or `cuda:1 (its name)`."""
    if device.type != "cuda":
        return device.type
    place = torch.cuda.current_device() if device.index is None else device.index
    return f"cuda:{place} ({torch.cuda.get_device_name(place)})"


def use_threads(parameters: int) -> None:
    """Set how many CPU threads this thread's operations use, for a model of this size.

    Handing out the work of a small model costs more than doing it, and on a busy machine many times more.
    """
    torch.set_num_threads(1 if 0 < parameters < SMALL else THREADS)


def shares_processor(device: torch.device) -> bool:
    """Whether a run and a reply at the same time would only slow each other down: all but discrete GPUs."""
    return device.type != "cuda" or bool(torch.cuda.get_device_properties(device).is_integrated)


def give_back_memory() -> None:
    """Return what was freed to the driver and the operating system."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not
        if trim is not None:
            trim(0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch or Python failed to allocate."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    words = ("not enough memory", "can't allocate memory", "cannot allocate memory")
    # Safetensors' own error is no RuntimeError, and says it in the system's words.
    return isinstance(error, Exception) and any(word in str(error).lower() for word in words)


def out_of_memory(doing: str, error: BaseException) -> EngineError:
    """The EngineError for a failed allocation; `doing` completes "Memory ran out while ..."."""
    return fault(
        "out_of_memory",
        f"Memory ran out while {doing}",
        str(error).splitlines()[0] if str(error) else "",
        "Unload another model, choose a smaller one, or shorten the chat",
        retryable=True,
    )


def fast_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16, and does not only pretend to."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return True
    return not cpu_flags().isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})


def cpu_flags() -> set[str]:
    """Feature names out of /proc/cpuinfo: `flags` on x86, `Features` on ARM; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return set()
    for line in text.splitlines():
        if line.startswith(("flags", "Features")):
            return set(line.partition(":")[2].split())
    return set()
