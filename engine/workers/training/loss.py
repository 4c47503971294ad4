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

CHUNK = 256
"""Rows of logits that exist at a time: 256 x 151,936 float32 are 156 MB."""


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, softcap: float) -> Tensor:
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        gradient = torch.empty_like(hidden) if hidden.requires_grad else None
        for start in range(0, hidden.shape[0], CHUNK):
            rows = slice(start, start + CHUNK)
            logits = (hidden[rows] @ weight.T).float()
            slope = None
            if softcap:
                squashed = torch.tanh(logits / softcap)
                logits, slope = squashed * softcap, 1 - squashed.square()
            target = targets[rows].unsqueeze(1)
            log_normaliser = torch.logsumexp(logits, dim=1, keepdim=True)
            total += (log_normaliser - logits.gather(1, target)).sum()
            if gradient is not None:
                logits.sub_(log_normaliser).exp_()
                logits.scatter_add_(1, target, torch.full_like(target, -1, dtype=logits.dtype))
                if slope is not None:
                    logits.mul_(slope)
                gradient[rows] = logits.to(weight.dtype) @ weight
        ctx.gradient = gradient
        return total

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, None, None, None]:
        gradient = ctx.gradient
        return (None if gradient is None else gradient * upstream.to(gradient.dtype)), None, None, None


def summed_loss(model: nn.Module, ids: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy in nats, summed over the labelled positions; a float32 scalar with a gradient.

    model: a causal language model of transformers, with adapters inside it or not, its head frozen.
    ids, labels: int64 of shape [rows, length], padded on the right; labels are not shifted, -100 is ignored.
    """
    # Padding stands to the right of everything real, where causal attention never looks: no mask is needed.
    hidden = model.get_decoder()(input_ids=ids[:, :-1], use_cache=False).last_hidden_state  # type: ignore[operator]
    targets = labels[:, 1:]
    learnt = targets != -100
    head = model.get_output_embeddings()  # type: ignore[operator]
    softcap = _softcap(model)
    chosen, wanted = hidden[learnt], targets[learnt]
    if head.bias is not None or _logits_are_scaled(model):
        return _plain(model, head, chosen, wanted)
    return _ChunkedCrossEntropy.apply(chosen, head.weight, wanted, softcap)  # type: ignore[no-any-return]


def _plain(model: nn.Module, head: nn.Module, hidden: Tensor, targets: Tensor) -> Tensor:
    logits = head(hidden).float() * float(getattr(model.config, "logit_scale", None) or 1.0)
    return nn.functional.cross_entropy(logits, targets, reduction="sum")


def _softcap(model: nn.Module) -> float:
    return float(getattr(_text_config(model), "final_logit_softcapping", None) or 0.0)


def _logits_are_scaled(model: nn.Module) -> bool:
    return bool(getattr(_text_config(model), "logit_scale", None))


def _text_config(model: nn.Module) -> Any:
    return model.config.get_text_config()  # type: ignore[operator,union-attr]
