"""What a run would take: bytes by part from the shapes, seconds from a probe of this machine's matmul."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import torch
from transformers import PretrainedConfig

from engine.models.machine import MIB
from engine.protocol.runs import Estimate
from engine.protocol.training import TrainSpec
from engine.workers.training.head import chunk_rows

PROBE = 512
"""Side of the probe's square matrices."""
EFFICIENCY = 0.35
"""Share of the probe's speed that a training step of a small model reaches; measured on CPU."""
RECOMPUTING = 1.3
"""Time of a step with all layers computed again over one with none: a third forward pass more."""
SLACK = (11, 8)
"""What a step takes for each byte that autograd keeps: gradients on their way back, and gaps between blocks.
Measured on CPU with two models: 1.3 to 1.4."""
OVERHEAD = 192 * MIB
"""Allocator, kernels' workspace and what is imported late; a start that measurements correct."""
_speeds: dict[tuple[str, torch.dtype], float] = {}


class Shape(msgspec.Struct, frozen=True):
    """What a run's memory follows from, beside its spec."""

    hidden: int
    layers: int
    query: int
    """Width of all query heads together."""
    key: int
    """Width of all key heads together."""
    wide: int
    """Of the MLP, all experts that a token sees together."""
    vocabulary: int
    width: int
    """Bytes of an activation: 4 of float32, 2 of bfloat16."""
    adapter: int
    """Parameters that learn."""
    base: int
    """Bytes of the weights: the chat's, and what the run holds beside them."""
    shared: int
    """Of these, bytes that are loaded already."""
    longest: int
    """Tokens of the longest sequence of training."""
    longest_eval: int = 0
    labelled: float = 1.0
    """Share of the tokens that carry loss, at most."""


def shape_of(config: PretrainedConfig, width: int, **facts: Any) -> Shape:
    """From a config of transformers; `facts`: the further fields of Shape."""
    text: Any = config.get_text_config(decoder=True)
    heads = int(text.num_attention_heads)
    head = int(getattr(text, "head_dim", None) or text.hidden_size // heads)
    wide = int(getattr(text, "intermediate_size", None) or 4 * text.hidden_size)
    experts = int(getattr(text, "num_experts_per_tok", None) or 0)
    if experts:
        wide = experts * int(getattr(text, "moe_intermediate_size", None) or wide)
    return Shape(
        hidden=int(text.hidden_size),
        layers=int(text.num_hidden_layers),
        query=heads * head,
        key=int(getattr(text, "num_key_value_heads", None) or heads) * head,
        wide=wide,
        vocabulary=int(text.vocab_size),
        width=width,
        **facts,
    )


def usual_adapter(shape: Shape, spec: TrainSpec) -> int:
    """Parameters of an adapter on a model that is not loaded: as if its targets were in every layer."""
    attention = 2 * shape.hidden + 2 * shape.query + 2 * (shape.hidden + shape.key)
    mlp = 3 * (shape.hidden + shape.wide)
    sides = {"attention": attention, "mlp": mlp}.get(spec.targets, attention + mlp)
    return spec.rank * sides * shape.layers


def sequences(spec: TrainSpec) -> int:
    """Sequences of a micro-batch: a pair has two, a vote is weighed against another one."""
    return spec.batch * (2 if spec.objective in ("dpo", "orpo", "kto") else 1)


def kept_by_layer(shape: Shape, spec: TrainSpec, tokens: int) -> int:
    """Bytes that one layer keeps for the backward pass without checkpointing.

    Counted after autograd's own list of saved tensors for Qwen3: both norms and those of queries and keys in
    float32, attention's inputs and output, the three products of the MLP, and each adapted layer's input.
    """
    wider = spec.targets != "attention" or spec.method == "full"
    normed = 2 * 4 * shape.hidden + 4 * (shape.query + shape.key)
    kept = normed + shape.width * (3 * shape.query + 2 * shape.key + 3 * shape.wide)
    if shape.width < 4 and spec.method != "full":  # each adapter casts its input to its own float32
        kept += 4 * (3 * shape.hidden + shape.query)
        kept += 4 * (2 * shape.hidden + shape.wide) if wider else 0
    else:
        kept += shape.width * (shape.hidden + (shape.hidden + shape.wide if wider else 0))
    if spec.method == "dora":
        kept += shape.width * (2 * shape.query + 2 * shape.key + 2 * shape.wide)
    return kept * tokens * SLACK[0] // SLACK[1]


def activations(shape: Shape, spec: TrainSpec, recomputed: int) -> int:
    """Bytes at the end of the forward pass, `recomputed` layers keeping their input alone."""
    tokens = sequences(spec) * shape.longest
    layer = kept_by_layer(shape, spec, tokens)
    inputs = shape.width * shape.hidden * tokens
    again = layer if recomputed else 0  # one layer at a time is whole in backward
    return (shape.layers - recomputed) * layer + recomputed * inputs + again + inputs


def head(shape: Shape, tokens: int) -> int:
    """Bytes of the logits that exist at a time, and of the labelled rows with their gradient."""
    rows = min(chunk_rows(shape.vocabulary), max(1, tokens))
    logits = rows * shape.vocabulary * (4 if shape.width == 4 else 8)
    return logits + int(2 * shape.labelled * tokens) * shape.hidden * shape.width


def parts(shape: Shape, spec: TrainSpec, recomputed: int = 0) -> dict[str, int]:
    """Bytes by part, at the longest batch of training."""
    whole = spec.method == "full"
    return {
        "base": shape.base,
        "adapter": 0 if whole else shape.adapter * 4,
        "optimiser": shape.adapter * 12,  # two moments and the gradient
        "activations": activations(shape, spec, recomputed),
        "head and loss": head(shape, sequences(spec) * shape.longest),
        "overhead": OVERHEAD,
    }


def evaluation(shape: Shape, spec: TrainSpec) -> int:
    """Bytes at the longest batch of an evaluation, beside what is loaded: one layer at a time."""
    tokens = sequences(spec) * (shape.longest_eval or shape.longest)
    layer = shape.width * tokens * (4 * shape.hidden + 2 * shape.query + 2 * shape.key + 2 * shape.wide)
    held = shape.base - shape.shared + shape.adapter * (8 if spec.method == "full" else 12)
    return held + layer + head(shape, tokens) + OVERHEAD


def need(shape: Shape, spec: TrainSpec, recomputed: int = 0) -> int:
    """Bytes at the highest of training and evaluation, beside what is loaded already."""
    training = sum(parts(shape, spec, recomputed).values()) - shape.shared
    return max(training, evaluation(shape, spec))


def recomputed_layers(shape: Shape, spec: TrainSpec, room: float) -> int:
    """Layers to compute again so that the run takes at most `room` bytes; all where nothing is enough."""
    if spec.checkpointing != "auto":
        return shape.layers if spec.checkpointing == "on" else 0
    counts = (count for count in range(shape.layers) if need(shape, spec, count) <= room)
    return next(counts, shape.layers)


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


def estimate(
    shape: Shape,
    spec: TrainSpec,
    steps: int,
    counts: tuple[int, int, int],
    duration: float,
    device: torch.device | None = None,
) -> Estimate:
    """Put together, against the memory that is free now. `counts`: rows, tokens, labelled tokens."""
    from engine.workers.device import pick_device
    from engine.workers.training.fitting import changes, pool, rules

    facts = pool(device or pick_device(), shape.shared)
    reserve, taught = rules(facts)
    room = (facts.free - reserve) / taught.factor
    recomputed = recomputed_layers(shape, spec, room)
    fits = need(shape, spec, recomputed) <= room
    rows, tokens, labelled = counts
    return Estimate(
        rows=rows,
        steps=steps,
        tokens=tokens,
        labelled=labelled,
        seconds=duration * (1 + (RECOMPUTING - 1) * recomputed / max(1, shape.layers)),
        parts=parts(shape, spec, recomputed),
        shared=shape.shared,
        free=facts.free,
        fits=fits,
        changes=() if fits else changes(shape, spec, room),
        need=round(need(shape, spec, recomputed) * taught.factor),
        eval_need=round(evaluation(shape, spec) * taught.factor),
        recomputed=recomputed,
        layers=shape.layers,
        reserve=reserve,
        error=taught.error,
        count=taught.count,
    )
