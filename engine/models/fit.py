"""Whether a model fits: what it takes by parts, against the memory that is free now less what is kept free.

One rule for loads, for a longer context and for "What fits here?". Pure: whoever asks reads the machine.
"""

from __future__ import annotations

from engine.models import footprint
from engine.models.footprint import WIDTHS
from engine.models.machine import MIB, MachineFacts, kept_free
from engine.models.shape import Size, size_of
from engine.protocol.fit import FitEstimate, FitRules, Parts, Verdict
from engine.protocol.specs import ModelInfo

Estimate = FitEstimate
CONTEXT = 8192
"""Tokens that are planned for where nobody says."""
FILLED = 2048
"""Tokens in the cache at which the speed is told."""
LEAST_CONTEXT = 1024
OVERHEAD = {"RAM": 256 * MIB, "unified": 512 * MIB, "VRAM": 768 * MIB, "GTT": 768 * MIB}
"""Allocator, kernels and their workspace, by pool; a start that a machine's own measurements correct."""
CPU_KINDS = ("bfloat16", "int8", "int4")
GPU_KINDS = ("bfloat16", "bnb8", "nf4")
"""How weights can be held, the best quality first."""


def kinds_for(facts: MachineFacts | None) -> tuple[str, ...]:
    """How weights can be held in this memory, the best quality first."""
    if facts is None:
        return CPU_KINDS
    return GPU_KINDS if facts.pool in ("VRAM", "GTT") or facts.packs_on_gpu else CPU_KINDS


def estimate(
    size: Size,
    facts: MachineFacts | None,
    *,
    kind: str = "bfloat16",
    context: int = 0,
    cache_dtype: str = "",
    reserve: int | None = None,
    correction: float = 1.0,
) -> Estimate:
    """What the model takes, and one verdict.

    `kind`: a dtype, int8, int4, nf4 or bnb8. `context`: tokens to plan for; 0 takes `CONTEXT`, or the model's
    own when that is shorter. `cache_dtype`: empty takes that of the weights, or 16 bits of packed ones.
    `reserve`: bytes to keep free; None goes by the machine. `correction`: from `learned`.
    """
    context = planned(size, context)
    width = WIDTHS.get(cache_dtype or kind, 2)
    weights = footprint.weights(size, kind)
    shape = size.shape
    parts = Parts(
        weights=weights.held,
        cache=footprint.cache(shape, context, width) if shape else 0,
        working=footprint.working(shape, context, width) if shape else 0,
        overhead=OVERHEAD[facts.pool if facts and facts.pool in OVERHEAD else "RAM"],
    )
    read = weights.read + (footprint.cache_read(shape, min(FILLED, context), width) if shape else 0)
    kept = reserve if reserve is not None else kept_free(facts) if facts else 0
    need = round(parts.total * correction)
    verdict = _verdict(need, facts, kept)
    return Estimate(
        model=size.name,
        kind=kind,
        context=context,
        parts=parts,
        need=need,
        verdict=verdict,
        why=_why(verdict, need, facts, kept, whole=shape is not None),
        reserve=kept,
        read=read,
        correction=correction,
        tokens_per_s=facts.bandwidth / read if facts and facts.bandwidth and read else 0.0,
        whole=shape is not None,
    )


def foretell(
    model: ModelInfo,
    facts: MachineFacts | None,
    rules: FitRules,
    *,
    dtype: str = "",
    quant: str = "",
    context: int = 0,
) -> Estimate:
    """What a load of this model would take here, and one verdict: the rule that every load goes by.

    `dtype`, `quant`: as the load would ask for them, `dtype` with the machine's own filled in.
    """
    return estimate(
        size_of(model),
        facts,
        kind=kind_of(model, dtype, quant),
        context=context,
        reserve=rules.reserve,
        correction=rules.factor,
    )


def kind_of(model: ModelInfo, dtype: str, quant: str = "") -> str:
    """How the weights would be held; a GGUF file's stay as they are."""
    if model.runs_on != "torch":
        return model.quant or "gguf"
    return quant or dtype or model.dtype or "bfloat16"


def weights_bytes(model: ModelInfo, dtype: str) -> int:
    """Bytes that the weights take once loaded; the file's size where the parameters are unknown."""
    return footprint.weights(size_of(model), kind_of(model, dtype)).held


def planned(size: Size, context: int = 0) -> int:
    """Tokens to plan for: as asked, but never more than the model can see."""
    return min(context or CONTEXT, size.context or context or CONTEXT)


def longest_context(
    size: Size, facts: MachineFacts, *, kind: str, reserve: int | None = None, correction: float = 1.0
) -> int:
    """The most tokens that fit, halving from the model's own; 0 when not even `LEAST_CONTEXT` does."""
    context = size.context or CONTEXT
    while context >= LEAST_CONTEXT:
        found = estimate(size, facts, kind=kind, context=context, reserve=reserve, correction=correction)
        if found.verdict == "fits":
            return context
        context //= 2
    return 0


def remedy(found: Estimate, size: Size, facts: MachineFacts) -> str:
    """What would make it fit, as one sentence; empty when it does or nothing would."""
    if found.verdict in ("fits", "unknown"):
        return ""
    reserve, correction = found.reserve, found.correction
    context = longest_context(size, facts, kind=found.kind, reserve=reserve, correction=correction)
    if context and context < found.context:
        return f"It fits with a context of {context:,} tokens"
    kinds = kinds_for(facts)
    smaller = kinds[kinds.index(found.kind) + 1 :] if found.kind in kinds else kinds
    for kind in smaller:
        other = estimate(
            size, facts, kind=kind, context=found.context, reserve=reserve, correction=correction
        )
        if other.verdict == "fits":
            return f"It fits in {kind}"
    return "Close other programs, or choose a smaller model"


def _verdict(need: int, facts: MachineFacts | None, kept: int) -> Verdict:
    if facts is None:
        return "unknown"
    if need <= facts.free - kept:
        return "fits"
    if facts.held and need <= facts.free + facts.held - kept:
        return "alone"
    return "tight" if need <= facts.free else "no"


def _why(verdict: Verdict, need: int, facts: MachineFacts | None, kept: int, *, whole: bool) -> str:
    least = "" if whole else " at least"
    if facts is None:
        return f"It needs{least} about {gib(need)}; how much memory is free is not known yet"
    room = f"{gib(facts.free)} of {facts.pool} are free"
    spare = f", {gib(kept)} of them kept free" if kept else ""
    says = {
        "fits": f"It needs{least} about {gib(need)}, and {room}{spare}",
        "tight": f"It needs{least} about {gib(need)} of the {gib(facts.free)} of {facts.pool} that are free, "
        f"so {gib(max(0, facts.free - need))} would be left instead of {gib(kept)}",
        "alone": f"It needs{least} about {gib(need)}, and {room} until other models are unloaded, "
        f"which hold {gib(facts.held)}",
        "no": f"It needs{least} about {gib(need)}, but only {room}",
    }
    return says[verdict]


def gib(count: int) -> str:
    """Bytes as `4.2 GiB`, or as `310 MiB` below one."""
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / MIB:.0f} MiB"
