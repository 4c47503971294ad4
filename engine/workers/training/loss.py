"""The head and the loss on labelled positions only, in chunks, with the gradient formed in the forward pass.

A vocabulary of 150,000 makes full logits the largest tensor of a small run, and most positions carry no
label. The head is frozen in adapter runs, so only the hidden states need a gradient: softmax minus the
target, times the head, which the forward pass can form while it has the logits (Liger, arXiv 2410.10989,
and Cut Cross-Entropy, arXiv 2411.09009, have the idea; this is the part of it that needs no kernel).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

CHUNK = 256
"""Rows of logits that exist at a time at most, where the vocabulary is small."""
LOGITS = 80 << 20
"""Bytes of float32 logits that exist at a time, about: 128 rows of 151,936."""
LEAST = 64
"""Rows below which a matrix product reads the head more often than it is worth."""


def chunk_rows(vocabulary: int) -> int:
    """Rows of logits that exist at a time for a head of so many entries."""
    return min(CHUNK, max(LEAST, LOGITS // (4 * vocabulary) // LEAST * LEAST))


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, softcap: float) -> Tensor:
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        chunk = chunk_rows(weight.shape[0])
        for start in range(0, hidden.shape[0], chunk):
            rows = slice(start, start + chunk)
            logits = (hidden[rows] @ weight.T).float()
            slope = None
            if softcap:
                squashed = torch.tanh(logits / softcap)
                slope = 1 - squashed.square() if gradient is not None else None
                logits = squashed.mul_(softcap)
            target = targets[rows].unsqueeze(1)
            # One tensor all the way from logits to gradient: each copy of it would be the largest of the run.
            wanted = logits.gather(1, target)
            top = logits.amax(dim=1, keepdim=True)
            normaliser = logits.sub_(top).exp_().sum(dim=1, keepdim=True)
            total += (normaliser.log() + top - wanted).sum()
            if gradient is not None:
                logits.div_(normaliser)
                logits.scatter_add_(1, target, torch.full_like(wanted, -1))
                if slope is not None:
                    logits.mul_(slope)
                gradient[rows] = logits.to(weight.dtype) @ weight
            del logits
        ctx.gradient = gradient
        return total

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, None, None, None]:
        gradient = ctx.gradient
        return (None if gradient is None else gradient * upstream.to(gradient.dtype)), None, None, None


def summed_loss(model: nn.Module, ids: Tensor, labels: Tensor, positions: Tensor | None = None) -> Tensor:
    """Cross entropy in nats, summed over the labelled positions; a float32 scalar with a gradient.

    model: a causal language model of transformers, with adapters inside it or not; a frozen head is cheaper.
    ids, labels: int64 of shape [rows, length], padded on the right; labels are not shifted, -100 is ignored.
    positions: of packed rows, beginning anew with each; None counts through.
    """
    # Padding stands to the right of everything real, where causal attention never looks: no mask is needed.
    more = {} if positions is None else {"position_ids": positions[:, :-1]}
    decoder = model.get_decoder()  # type: ignore[operator]
    hidden = decoder(input_ids=ids[:, :-1], use_cache=False, **more).last_hidden_state
    targets = labels[:, 1:]
    learnt = targets != -100
    head = model.get_output_embeddings()  # type: ignore[operator]
    softcap = _softcap(model)
    chosen, wanted = hidden[learnt], targets[learnt]
    if head.bias is not None or _logits_are_scaled(model) or head.weight.requires_grad:
        return _in_chunks(model, head, chosen, wanted)
    return _ChunkedCrossEntropy.apply(chosen, head.weight, wanted, softcap)  # type: ignore[no-any-return]


def _in_chunks(model: nn.Module, head: nn.Module, hidden: Tensor, targets: Tensor) -> Tensor:
    """For a head that learns, has a bias or a scale: by autograd, the logits computed again in backward."""
    scale = float(getattr(_text_config(model), "logit_scale", None) or 1.0)
    softcap = _softcap(model)

    def part(rows: Tensor, wanted: Tensor) -> Tensor:
        logits = head(rows).float() * scale
        if softcap:
            logits = torch.tanh(logits / softcap) * softcap
        return nn.functional.cross_entropy(logits, wanted, reduction="sum")

    weight: Any = head.weight
    chunk = chunk_rows(weight.shape[0])
    total = torch.zeros((), dtype=torch.float32, device=hidden.device)
    for rows, wanted in zip(hidden.split(chunk), targets.split(chunk), strict=True):
        total = total + checkpoint(part, rows, wanted, use_reentrant=False, preserve_rng_state=False)
    return total


def _softcap(model: nn.Module) -> float:
    return float(getattr(_text_config(model), "final_logit_softcapping", None) or 0.0)


def _logits_are_scaled(model: nn.Module) -> bool:
    return bool(getattr(_text_config(model), "logit_scale", None))


def _text_config(model: nn.Module) -> Any:
    return model.config.get_text_config()  # type: ignore[operator,union-attr]
