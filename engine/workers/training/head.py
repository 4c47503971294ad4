"""The head on labelled positions only, in chunks, with the gradient formed in the forward pass.

A vocabulary of 150,000 makes full logits the largest tensor of a small run, and most positions carry no
label. The head is frozen in adapter runs, so only the hidden states need a gradient: the target minus
softmax, times the head, which the forward pass can form while it has the logits (Liger, arXiv 2410.10989,
and Cut Cross-Entropy, arXiv 2411.09009, have the idea; this is the part of it that needs no kernel).
"""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Head:
    """A model's output head and what its family does to the logits."""

    module: Any
    scale: float
    softcap: float
    """Logits stay between minus and plus this; 0 is no cap."""

    @classmethod
    def of(cls, model: nn.Module) -> Head:
        """The head of a causal language model of transformers, adapters inside it or not."""
        text = model.config.get_text_config(decoder=True)  # type: ignore[operator,union-attr]
        return cls(
            model.get_output_embeddings(),  # type: ignore[operator]
            float(getattr(text, "logit_scale", None) or 1.0),
            float(getattr(text, "final_logit_softcapping", None) or 0.0),
        )

    def logits(self, hidden: Tensor) -> Tensor:
        """float32 [rows, vocabulary] of hidden states [rows, width]."""
        logits: Tensor = self.module(hidden).float() * self.scale
        return torch.tanh(logits / self.softcap) * self.softcap if self.softcap else logits

    def logprobs(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """log softmax at the targets, in nats: float32 [rows] of [rows, width] and int64 [rows]."""
        weight = self.module.weight
        if self.module.bias is None and self.scale == 1.0 and not weight.requires_grad:
            return _Chunked.apply(hidden, weight, targets, self.softcap)  # type: ignore[no-any-return]
        return self._computed_twice(hidden, targets, chunk_rows(weight.shape[0]))

    def _computed_twice(self, hidden: Tensor, targets: Tensor, chunk: int) -> Tensor:
        """For a head that learns, has a bias or a scale: by autograd, the logits again in backward."""
        parts = [
            checkpoint(self._part, rows, wanted, use_reentrant=False, preserve_rng_state=False)
            for rows, wanted in zip(hidden.split(chunk), targets.split(chunk), strict=True)
        ]
        return torch.cat(parts)

    def _part(self, hidden: Tensor, targets: Tensor) -> Tensor:
        return -nn.functional.cross_entropy(self.logits(hidden), targets, reduction="none")


class _Chunked(torch.autograd.Function):
    """With a frozen head."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, softcap: float) -> Tensor:
        found = torch.empty(hidden.shape[0], dtype=torch.float32, device=hidden.device)
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
            found[rows] = (wanted - top - normaliser.log()).squeeze(1)
            if gradient is not None:
                logits.div_(normaliser).neg_()
                logits.scatter_add_(1, target, torch.ones_like(wanted))
                if slope is not None:
                    logits.mul_(slope)
                gradient[rows] = logits.to(weight.dtype) @ weight
            del logits
        ctx.gradient = gradient
        return found

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, None, None, None]:
        gradient = ctx.gradient
        return (
            None if gradient is None else gradient * upstream.unsqueeze(1).to(gradient.dtype),
            None,
            None,
            None,
        )
