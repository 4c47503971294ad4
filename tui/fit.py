"""Whether a model fits: what its load needs against what is free now. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.api import HEADROOM, specs, weights_bytes
from tui.state import EngineState

Verdict = Literal["held", "yes", "alone", "no", "unknown", "never"]
"""Loaded now; fits beside what is loaded; fits once others are unloaded; does not fit; no reading yet;
cannot be loaded at all."""
MARKS: dict[Verdict, str] = {
    "held": "● held",
    "yes": "✓ yes",
    "alone": "~ alone",
    "no": "✗ no",
    "unknown": "–",
    "never": "–",
}
DTYPES = {"bfloat16": "bf16", "float16": "f16", "float32": "f32"}
"""Short names for a narrow column."""


@dataclass(frozen=True)
class Pool:
    """Where a model's weights would lie. Bytes."""

    name: str
    free: int
    total: int


@dataclass(frozen=True)
class Fit:
    """What one model takes, and whether there is room. Bytes."""

    verdict: Verdict
    weights: int
    need: int
    """Weights and headroom; of a loaded model, what it holds."""
    pool: Pool | None

    @property
    def mark(self) -> str:
        """A sign and a word: readable without colour."""
        return MARKS[self.verdict]


def pool(engine: EngineState) -> Pool | None:
    """The memory of the GPU that torch computes on, else the RAM; None before the first reading."""
    sample = engine.monitor
    if sample is None or not sample.ram_total:
        return None
    used = {finding.kind for finding in engine.info.devices if finding.usable} if engine.info else set()
    for gpu in sample.gpus:
        if gpu.kind in used and gpu.vram_total and gpu.vram_used is not None:
            return _lent(gpu, sample) or Pool("VRAM", max(0, gpu.vram_total - gpu.vram_used), gpu.vram_total)
    return Pool("RAM", sample.ram_available, sample.ram_total)


def _lent(gpu: specs.GpuSample, sample: specs.MonitorSample) -> Pool | None:
    """An integrated AMD GPU takes RAM that the driver lends it, not its small carve-out."""
    if (
        gpu.kind != "amd"
        or not gpu.gtt_total
        or gpu.gtt_used is None
        or gpu.gtt_total <= (gpu.vram_total or 0)
    ):
        return None
    return Pool("GTT", max(0, min(gpu.gtt_total - gpu.gtt_used, sample.ram_available)), gpu.gtt_total)


def fit(model: specs.ModelInfo, engine: EngineState) -> Fit:
    """What a load of this model would need, by the rule that the engine goes by."""
    here = pool(engine)
    if model.state == "ready":
        held = model.memory or model.bytes_on_disk
        return Fit("held", held, held, here)
    weights = weights_bytes(model, load_dtype(model, engine))
    need = weights + HEADROOM if weights else 0
    if model.support == "unsupported":
        return Fit("never", weights, 0, here)
    if here is None or not need:
        return Fit("unknown", weights, need, here)
    if need <= here.free:
        return Fit("yes", weights, need, here)
    others = sum(other.memory for other in engine.models.values() if other.state == "ready")
    return Fit("alone" if need <= here.free + others else "no", weights, need, here)


def load_dtype(model: specs.ModelInfo, engine: EngineState) -> str:
    """The dtype that the model is held in, or that its load would pick on this machine."""
    return model.load_dtype or (engine.info.load_dtype if engine.info else "") or model.dtype


def unused_gpu(engine: EngineState) -> specs.DeviceFinding | None:
    """A GPU that this torch cannot use and that something could be done about."""
    findings = engine.info.devices if engine.info else ()
    return next((finding for finding in findings if not finding.usable and finding.remedy), None)
