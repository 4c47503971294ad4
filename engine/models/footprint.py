"""Bytes of weights, cache and working memory, by shape and by how the weights are held. Pure."""

from __future__ import annotations

import msgspec

from engine.models.shape import Size
from engine.protocol.fit import Shape

STEP = 256
"""Tokens by which the cache grows (engine/workers/cache.py)."""
SNAPSHOTS = 4
"""States of a hybrid model that are kept to go back to (engine/workers/prefix.py)."""
CHUNK = 512
"""Tokens of a prompt that pass through the model at once (engine/workers/steps.py)."""
PACKED = {"int8": 1.0, "bnb8": 1.0, "int4": 0.5, "nf4": 0.5}
"""Bytes of one weight without its scales."""
INT4_GROUP, INT4_SCALES = 32, 4
"""A group of 32 weights carries a scale and a zero in bfloat16."""
NF4_BLOCK, NF4_SCALES = 64, 256
"""A block of 64 weights carries a scale in one byte; 256 of those share a float32 (double quantisation)."""
WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of one parameter by dtype."""
_HALF = 2


class Weights(msgspec.Struct, frozen=True):
    """Bytes of the weights."""

    held: int
    """In memory after the load."""
    read: int
    """That one token's forward reads."""


def weights(size: Size, kind: str) -> Weights:
    """Held as `kind`: float32, bfloat16, float16, int8, int4, nf4 or bnb8.

    Packed kinds keep the input embedding, the vision part and experts in 16 bits. int8 and int4 pack the head
    (in 8 bits), also as a copy of a tied embedding; bitsandbytes' nf4 and bnb8 leave it in 16 bits.
    """
    if size.stored:
        return Weights(size.stored, size.stored)
    if kind not in WIDTHS and kind not in PACKED:
        kind = "float32"
    embedding = size.shape.embedding if size.shape else 0
    tied = size.shape.tied if size.shape else True
    active = size.active or size.parameters
    rows = 0 if tied else embedding  # only ever looked up, a row at a time
    if kind in WIDTHS:
        width = WIDTHS[kind]
        return Weights(size.parameters * width, (active - size.tower - rows) * width)
    body = size.parameters - size.tower - size.experts - embedding - rows
    unused = size.parameters - active
    unused_experts = min(unused, size.experts)
    hidden = size.shape.hidden if size.shape else 0
    each = bytes_per_weight(kind, hidden)
    head = round(embedding * bytes_per_weight("int8", hidden))
    if kind not in ("int8", "int4"):
        head = embedding * _HALF
    kept = (size.tower + size.experts + embedding) * _HALF
    shares = tied and kind not in ("int8", "int4")
    held = kept + round(body * each) + (0 if shares else head)
    read = (size.experts - unused_experts) * _HALF + round((body - unused + unused_experts) * each) + head
    return Weights(held, read)


def bytes_per_weight(kind: str, row: int) -> float:
    """One packed weight with its share of the scales; `row`: weights that share an int8 scale."""
    if kind == "int4":
        return PACKED[kind] + INT4_SCALES / INT4_GROUP
    if kind == "nf4":
        return PACKED[kind] + (1 + 4 / NF4_SCALES) / NF4_BLOCK
    return PACKED[kind] + (_HALF / row if row else 0)


def cache(shape: Shape, context: int, width: int = _HALF, *, trims: bool = False) -> int:
    """Keys and values of `context` tokens, `width` bytes a value, and the states of linear layers.

    Qwill's sliding layers keep every key, so that a chat can be taken back; `trims` is for an engine whose
    layers forget what the window hides.
    """
    room = -(-context // STEP) * STEP
    sliding = min(room, shape.window) if trims else room
    rows = room * _full_layers(shape) + sliding * shape.sliding_layers
    return _row(shape, width) * rows + (1 + SNAPSHOTS) * _states(shape, width)


def cache_read(shape: Shape, tokens: int, width: int = _HALF) -> int:
    """Bytes that the next token reads of the cache after `tokens` of them; a state is also written back."""
    seen = min(tokens, shape.window)
    rows = tokens * _full_layers(shape) + seen * shape.sliding_layers
    return _row(shape, width) * rows + 2 * _states(shape, width)


def working(shape: Shape, context: int, width: int = _HALF, chunk: int = CHUNK) -> int:
    """The most that a chunk of a prompt needs beside weights and cache.

    Per token: four rows of the hidden width, the queries, keys, values and attention's result, and three
    rows of the MLP. Then the mask, one row of logits in float32 and the sampler's copy, and a layer's keys
    while they move to a larger buffer.
    """
    rows = min(chunk, context)
    attention = (2 * shape.heads + 2 * shape.kv_heads) * shape.head_dim
    values = 4 * shape.hidden + attention + 3 * shape.intermediate
    logits = 2 * 4 * shape.vocabulary
    growing = _row(shape, width) // 2 * (-(-context // STEP) * STEP)
    return rows * values * width + rows * context + logits + growing


def _full_layers(shape: Shape) -> int:
    return shape.layers - shape.sliding_layers - shape.linear_layers


def _row(shape: Shape, width: int) -> int:
    """Bytes of one token's key and value in one layer."""
    return 2 * shape.kv_heads * shape.head_dim * width


def _states(shape: Shape, width: int) -> int:
    return shape.linear_layers * (4 * shape.state + width * shape.conv)
