"""What a load takes: one rule for the engine, which enforces it, and for the screen, which foretells it."""

from __future__ import annotations

from engine.protocol.specs import ModelInfo

HEADROOM = 512 << 20
"""Bytes left free beside a model's weights, for its cache and the rest of the machine."""
WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of one parameter by dtype."""


def weights_bytes(model: ModelInfo, dtype: str) -> int:
    """Bytes that the weights take once loaded; the file's size where the parameters are unknown.

    `dtype`: as the load asks for it; empty takes the dtype of the file.
    """
    if not model.parameters:
        return model.bytes_on_disk
    return model.parameters * WIDTHS.get(dtype or model.dtype, 4)
