"""The next smaller way to run the same thing, after memory ran out."""

from __future__ import annotations

from msgspec.structs import replace

from engine.protocol.training import TrainSpec


def smaller(spec: TrainSpec) -> TrainSpec | None:
    """Half the rows of a micro-batch and twice as many of them; None when nothing is left to give.

    A step learns from as many rows as before. With single rows, all layers are computed again in backward.
    """
    half = next((size for size in range(spec.batch // 2, 0, -1) if spec.batch % size == 0), 0)
    if half:
        return replace(spec, batch=half, accumulate=spec.accumulate * (spec.batch // half))
    return replace(spec, checkpointing="on") if spec.checkpointing != "on" else None
