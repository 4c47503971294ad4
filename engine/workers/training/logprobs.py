"""Log-probabilities of labelled tokens, one by one and by row.

Preferences weigh every sequence by a factor of its own, which is known only after the forward pass.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.workers.training.head import Head


def token_logprobs(model: nn.Module, ids: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(log-probability in nats, place) of each labelled token: float32 [tokens] and int64 [tokens, 2].

    model: a causal language model of transformers, with adapters inside it or not.
    ids, labels: int64 [rows, length], padded on the right; labels are not shifted, -100 is ignored. A place
    is (row, position in `ids`); the first token of a row has no log-probability and is passed over.
    """
    # Padding stands to the right of everything real, where causal attention never looks: no mask is needed.
    hidden = model.get_decoder()(input_ids=ids[:, :-1], use_cache=False).last_hidden_state  # type: ignore[operator]
    targets = labels[:, 1:]
    rows, columns = (targets != -100).nonzero().unbind(1)
    found = Head.of(model).logprobs(hidden[rows, columns], targets[rows, columns])
    return found, torch.stack((rows, columns + 1), dim=1)


def answer_logprobs(model: nn.Module, ids: Tensor, labels: Tensor) -> Tensor:
    """Log-probability of all labelled tokens of each row together, in nats: float32 [rows]."""
    found, places = token_logprobs(model, ids, labels)
    return by_row(found, places, ids.shape[0])


def by_row(values: Tensor, places: Tensor, rows: int) -> Tensor:
    """Sums of the tokens' values in each row, float32 [rows]; `places` as `token_logprobs` gives them."""
    return torch.zeros(rows, dtype=values.dtype, device=values.device).index_add(0, places[:, 0], values)
