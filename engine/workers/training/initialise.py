"""What an adapter starts from: seeded noise, or directions of the weights. All in float32.

PiSSA: Meng et al., arXiv 2404.02948. OLoRA: Büyükakyüz, arXiv 2406.01775. LoftQ: Li et al., arXiv 2310.08659.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from engine.protocol.training import Method

ADAPTER = "default"
"""PEFT's name for the one adapter of a run."""
EXACT = 1024
"""Shorter side of a matrix up to which its decomposition is exact."""
SPARE, ROUNDS = 16, 4
"""Of the randomised decomposition (Halko et al., arXiv 0909.4061): extra columns, power iterations."""


class Start(NamedTuple):
    """Factors of the part of a matrix that an adapter takes over: it is B @ A."""

    a: Tensor
    """float32, [rank, inputs]."""
    b: Tensor
    """float32, [outputs, rank]."""


def start_of(method: Method, weight: Tensor, rank: int, seed: int) -> Start:
    """`pissa`: the main directions; `olora`: the first orthogonal ones; `loftq`: as pissa, of the error.

    weight: [outputs, inputs], any floating dtype and device.
    """
    whole = weight.detach().float()
    if method == "olora":
        q = torch.linalg.qr(whole[:, :rank]).Q  # the first columns of Q hang on the first of the matrix alone
        return _filled(q.T @ whole, q, rank)
    u, s, v = _decomposed(whole, rank, seed)
    root = s.sqrt()
    return _filled(root[:, None] * v, u * root, rank)


def residual(weight: Tensor, start: Start) -> Tensor:
    """What is left of a matrix beside the start, in the matrix's dtype."""
    return (weight.detach().float() - start.b @ start.a).to(weight.dtype)


def lora_layers(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """PEFT's layers with an adapter, by path, in the model's order."""
    from peft.tuners.lora import LoraLayer

    for path, module in model.named_modules():
        if isinstance(module, LoraLayer):
            yield path.removeprefix("base_model.model."), module


@torch.no_grad()
def draw(model: nn.Module, seed: int, *, gaussian: bool = False) -> None:
    """A from a generator of its own, whatever is drawn elsewhere in the process meanwhile; B zero."""
    generator = torch.Generator().manual_seed(seed)
    for _, layer in lora_layers(model):
        if ADAPTER in layer.lora_A:
            weight = layer.lora_A[ADAPTER].weight
            drawn = torch.empty(weight.shape)
            if gaussian:
                drawn.normal_(0, 1 / layer.r[ADAPTER], generator=generator)
            else:
                nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
            weight.copy_(drawn)
            layer.lora_B[ADAPTER].weight.zero_()
        else:  # an embedding, whose B is the one that is drawn
            drawn = torch.empty(layer.lora_embedding_B[ADAPTER].shape).normal_(generator=generator)
            layer.lora_embedding_B[ADAPTER].copy_(drawn)
            layer.lora_embedding_A[ADAPTER].zero_()


@torch.no_grad()
def begin_at(layer: Any, start: Start) -> None:
    """Set a layer's A and B so that scale x B @ A is the start."""
    root = math.sqrt(layer.scaling[ADAPTER])
    layer.lora_A[ADAPTER].weight.copy_(start.a / root)
    layer.lora_B[ADAPTER].weight.copy_(start.b / root)


def whole_magnitudes(model: nn.Module) -> None:
    """DoRA's lengths in float32, from the base's weights: 16 bits round away most of what they learn."""
    from peft.utils.integrations import dequantize_module_weight

    for _, layer in lora_layers(model):
        if ADAPTER in layer.lora_magnitude_vector:
            vector, base = layer.lora_magnitude_vector[ADAPTER], layer.get_base_layer()
            lengths = vector.weight.detach().float()
            if isinstance(base, nn.Linear):
                lengths = torch.linalg.norm(dequantize_module_weight(base).detach().float(), dim=1)
            vector.weight = nn.Parameter(lengths.to(vector.weight.device))


def _filled(a: Tensor, b: Tensor, rank: int) -> Start:
    """With zeros up to the rank, where the matrix has fewer directions."""
    missing = rank - a.shape[0]
    return Start(
        nn.functional.pad(a, (0, 0, 0, missing)).contiguous(),
        nn.functional.pad(b, (0, missing)).contiguous(),
    )


def _decomposed(matrix: Tensor, rank: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """The largest `rank` singular values with their vectors: [m, r], [r], [r, n]."""
    if min(matrix.shape) <= EXACT:
        u, s, v = torch.linalg.svd(matrix, full_matrices=False)
        return u[:, :rank], s[:rank], v[:rank]
    generator = torch.Generator().manual_seed(seed)
    columns = min(rank + SPARE, *matrix.shape)
    probe = torch.randn(matrix.shape[1], columns, generator=generator).to(matrix.device)
    basis = torch.linalg.qr(matrix @ probe).Q
    for _ in range(ROUNDS):
        basis = torch.linalg.qr(matrix @ torch.linalg.qr(matrix.T @ basis).Q).Q
    u, s, v = torch.linalg.svd(basis.T @ matrix, full_matrices=False)
    return (basis @ u)[:, :rank], s[:rank], v[:rank]
