"""Log-probabilities of labelled tokens in chunks of the vocabulary's logits, the gradient formed in forward.

What loss.py does for one sum of cross entropy, this does token by token: preferences weigh every sequence
by a factor of its own, which is known only after the forward pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from engine.workers.training.loss import chunk_rows


class _ChunkedLogProbs(torch.autograd.Function):
    """log softmax at the target for each row, with a frozen head."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, softcap: float) -> Tensor:
        found = torch.empty(hidden.shape[0], dtype=torch.float32, device=hidden.device)
        gradient = torch.empty_like(hidden) if hidden.requires_grad else None
        chunk = chunk_rows(weight.shape[0])
        for start in range(0, hidden.shape[0], chunk):
            rows = slice(start, start + chunk)
            logits = (hidden[rows] @ weight.T).float()
            slope = None
            if softcap:
                squashed = torch.tanh(logits / softcap)
                logits, slope = squashed * softcap, 1 - squashed.square()
            target = targets[rows].unsqueeze(1)
            log_normaliser = torch.logsumexp(logits, dim=1, keepdim=True)
            found[rows] = (logits.gather(1, target) - log_normaliser).squeeze(1)
            if gradient is not None:
                logits.sub_(log_normaliser).exp_().neg_()
                logits.scatter_add_(1, target, torch.ones_like(target, dtype=logits.dtype))
                if slope is not None:
                    logits.mul_(slope)
                gradient[rows] = logits.to(weight.dtype) @ weight
        ctx.gradient = gradient
        return found

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, None, None, None]:
        gradient = ctx.gradient
        return (None if gradient is None else gradient * upstream.unsqueeze(1).to(gradient.dtype)), *_NONE


_NONE = (None, None, None)


def token_logprobs(model: nn.Module, ids: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(log-probability in nats, place) of each labelled token: float32 [tokens] and int64 [tokens, 2].

    model: a causal language model of transformers, with adapters inside it or not.
    ids, labels: int64 [rows, length], padded on the right; labels are not shifted, -100 is ignored. A place
    is (row, position in `ids`); the first token of a row has no log-probability and is passed over.
    """
    # Padding stands to the right of everything real, where causal attention never looks: no mask is needed.
    hidden = model.get_decoder()(input_ids=ids[:, :-1], use_cache=False).last_hidden_state  # type: ignore[operator]
    targets = labels[:, 1:]
    places = (targets != -100).nonzero()
    rows, columns = places.unbind(1)
    chosen, wanted = hidden[rows, columns], targets[rows, columns]
    head = model.get_output_embeddings()  # type: ignore[operator]
    text = model.config.get_text_config()  # type: ignore[operator,union-attr]
    scale = float(getattr(text, "logit_scale", None) or 1.0)
    softcap = float(getattr(text, "final_logit_softcapping", None) or 0.0)
    if head.bias is None and scale == 1.0 and not head.weight.requires_grad:
        found = _ChunkedLogProbs.apply(chosen, head.weight, wanted, softcap)
    else:
        found = _in_chunks(head, chosen, wanted, scale, softcap)
    return found, torch.stack((rows, columns + 1), dim=1)


def answer_logprobs(model: nn.Module, ids: Tensor, labels: Tensor) -> Tensor:
    """Log-probability of all labelled tokens of each row together, in nats: float32 [rows]."""
    found, places = token_logprobs(model, ids, labels)
    return by_row(found, places, ids.shape[0])


def by_row(values: Tensor, places: Tensor, rows: int) -> Tensor:
    """Sums of the tokens' values in each row, float32 [rows]; `places` as `token_logprobs` gives them."""
    return torch.zeros(rows, dtype=values.dtype, device=values.device).index_add(0, places[:, 0], values)


def _in_chunks(head: nn.Module, hidden: Tensor, targets: Tensor, scale: float, softcap: float) -> Tensor:
    """For a head that learns, has a bias or scales: logits are computed a second time in backward."""

    def part(rows: Tensor, wanted: Tensor) -> Tensor:
        logits = head(rows).float() * scale
        if softcap:
            logits = torch.tanh(logits / softcap) * softcap
        return -nn.functional.cross_entropy(logits, wanted, reduction="none")

    weight: Any = head.weight
    chunk = chunk_rows(weight.shape[0])
    parts = zip(hidden.split(chunk), targets.split(chunk), strict=True)
    return torch.cat([checkpoint(part, rows, wanted, use_reentrant=False) for rows, wanted in parts])
