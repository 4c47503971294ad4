"""bitsandbytes' 8-bit and 4-bit NormalFloat layers; imported only when somebody asks for them: 3 seconds."""

from __future__ import annotations

import logging
from types import ModuleType
from typing import Any

import torch
from torch import nn

from engine.protocol.errors import fault

OUTLIER = 6.0
"""Inputs beyond this are multiplied in 16 bits (LLM.int8's threshold)."""


def bitsandbytes(quant: str) -> ModuleType:
    """The library. Raises EngineError `quant_missing` where it is not installed."""
    try:
        import bitsandbytes as library
    except (ImportError, OSError, RuntimeError) as error:
        raise fault(
            "quant_missing",
            f"{quant} needs bitsandbytes, which cannot be used here",
            str(error).strip().partition("\n")[0],
            "Install it with `pip install bitsandbytes`, or use --quant int8 or int4 on a CPU",
        ) from error
    module: ModuleType = library
    # In 8 bits it says at each layer of each forward that float32 inputs are rounded, which is known.
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    return module


def bnb_linear(
    source: nn.Linear, quant: str, dtype: torch.dtype, device: torch.device, *, learns: bool = False
) -> nn.Module:
    """The same layer, packed on the device: `bnb8` or `nf4` with double quantisation.

    `learns`: it never repacks itself for the CPU's fused kernel, whose form yields no gradients.
    """
    library = bitsandbytes(quant)
    made: Any
    if quant == "nf4":
        made = library.nn.Linear4bit(
            source.in_features,
            source.out_features,
            bias=False,
            compute_dtype=dtype,
            compress_statistics=True,
            quant_type="nf4",
            device="meta",
        )
        weight = source.weight.detach().to(device, dtype)
        options = {"compress_statistics": True, "quant_type": "nf4", "module": made}
        made.weight = library.nn.Params4bit(weight, requires_grad=False, **options).to(device)
        odd = source.out_features % 32 or source.in_features % 64  # the fused kernel would fail on these
        if learns or odd:
            made.support_avx512bf16_for_cpu = False
    else:
        made = library.nn.Linear8bitLt(
            source.in_features,
            source.out_features,
            bias=False,
            has_fp16_weights=False,
            threshold=OUTLIER,
            device="meta",
        )
        weight = source.weight.detach().cpu()
        made.weight = library.nn.Int8Params(weight, requires_grad=False, has_fp16_weights=False).to(device)
    if source.bias is not None:
        made.bias = nn.Parameter(source.bias.detach().to(device, dtype), requires_grad=False)
    return made.eval().requires_grad_(False)  # type: ignore[no-any-return]


@torch.inference_mode()
def settle(module: nn.Module, dtype: torch.dtype, device: torch.device) -> None:
    """Compute one row: on a CPU with AVX512-BF16 the layer repacks itself in place then, once and for all.

    The fused kernel needs that form. It yields no gradients to whoever trains on the same weights, so no run
    ever gets such a layer (engine/workers/training/trainer.py).
    """
    columns = int(module.in_features)  # type: ignore[arg-type]
    module(torch.zeros(1, columns, dtype=dtype, device=device))


def state_bytes(module: nn.Module) -> int:
    """Bytes of the scales, which are neither parameters nor buffers."""
    held: list[Any] = []
    state = getattr(getattr(module, "weight", None), "quant_state", None)
    while state is not None:
        held += [state.absmax, state.code, state.offset]
        state = getattr(state, "state2", None)  # repacking for the CPU takes it away
    outliers = getattr(module, "state", None)
    if outliers is not None:
        held += [outliers.SCB, getattr(module.weight, "SCB", None)]
    return sum(tensor.nbytes for tensor in held if isinstance(tensor, torch.Tensor))


def is_bnb(module: nn.Module) -> bool:
    """Whether a module is one of bitsandbytes', without importing it."""
    return type(module).__module__.partition(".")[0] == "bitsandbytes"
