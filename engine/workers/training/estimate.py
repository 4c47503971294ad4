"""What a run would take: bytes by part from the shapes, seconds from a probe of this machine's matmul."""

from __future__ import annotations

import time

import psutil
import torch
from transformers import PretrainedConfig

from engine.protocol.runs import Estimate, TrainSpec
from engine.workers.training.loss import CHUNK

PROBE = 512
"""Side of the probe's square matrices."""
EFFICIENCY = 0.35
"""Share of the probe's speed that a training step of a small model reaches; measured on CPU."""
KEPT_PER_LAYER = 18
"""Hidden-sized tensors that a layer keeps for the backward pass, MLP included, without checkpointing."""
_speeds: dict[tuple[str, torch.dtype], float] = {}


def flops_per_second(device: torch.device, dtype: torch.dtype) -> float:
    """Measured once a process, in about 20 ms."""
    key = (device.type, dtype)
    if key not in _speeds:
        left = torch.ones(PROBE, PROBE, device=device, dtype=dtype)
        left @ left  # the first call pays for the set-up
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < 0.02:
            left @ left
            count += 1
        if device.type == "cuda":
            torch.cuda.synchronize()
        _speeds[key] = count * 2 * PROBE**3 / (time.perf_counter() - began)
    return _speeds[key]


def seconds(parameters: int, tokens: int, speed: float) -> float:
    """Forward (2 flops a parameter and token) and backward (4, less 2 for the frozen weights)."""
    return 4 * parameters * tokens / (speed * EFFICIENCY)


def parts(
    config: PretrainedConfig, spec: TrainSpec, base_bytes: int, adapter: int, longest: int
) -> dict[str, int]:
    """Bytes by part, at the longest batch. `adapter` counts parameters, held in float32."""
    text = config.get_text_config(decoder=True)
    tokens = spec.batch * longest
    wide = int(getattr(text, "intermediate_size", 0) or 4 * text.hidden_size)
    kept = tokens * (KEPT_PER_LAYER * text.hidden_size + 3 * wide) * text.num_hidden_layers
    return {
        "base": base_bytes,
        "adapter": adapter * 4,
        "optimiser": adapter * 12,  # two moments and the gradient
        "activations": kept * 2,
        "head and loss": min(CHUNK, tokens) * text.vocab_size * 4 * 2,
    }


def estimate(
    sizes: dict[str, int], steps: int, counts: tuple[int, int, int], shared: int, duration: float
) -> Estimate:
    """Put together. `counts`: rows, tokens, labelled tokens; `shared`: bytes that are loaded already."""
    free = psutil.virtual_memory().available
    rows, tokens, labelled = counts
    return Estimate(
        rows=rows,
        steps=steps,
        tokens=tokens,
        labelled=labelled,
        seconds=duration,
        parts=sizes,
        shared=shared,
        free=free,
        fits=sum(sizes.values()) - shared <= free,
    )
