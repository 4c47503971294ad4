"""Cross entropy of the labelled tokens."""

from __future__ import annotations

from torch import Tensor, nn

from engine.workers.training.head import Head


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
    return -Head.of(model).logprobs(hidden[learnt], targets[learnt]).sum()
