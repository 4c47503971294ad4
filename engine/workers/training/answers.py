"""Greedy answers of a model in training: no dropout, no draw of any generator, a cache of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from engine.workers.cache import make_cache
from engine.workers.training.labels import Labeller


class Answer(NamedTuple):
    """What came out, stop token left out."""

    ids: list[int]
    stopped: bool
    """Whether it came to an end by itself."""


@torch.no_grad()
def greedy(
    network: nn.Module,
    prompt: Sequence[int],
    stops: frozenset[int],
    limit: int,
    go_on: Callable[[], bool] = lambda: True,
) -> Answer:
    """The likeliest token, again and again, at most `limit` of them or until `go_on` says no.

    network: a causal language model of transformers in evaluation mode, on one device.
    """
    model: Any = network
    cache = make_cache(model.config)
    device = model.get_input_embeddings().weight.device
    ids: list[int] = []
    feed = torch.tensor([list(prompt)], device=device)
    while len(ids) < limit and go_on():
        hidden = model.get_decoder()(input_ids=feed, past_key_values=cache, use_cache=True).last_hidden_state
        token = int(model.get_output_embeddings()(hidden[:, -1]).argmax())
        if token in stops:
            return Answer(ids, True)
        ids.append(token)
        feed = torch.tensor([[token]], device=device)
    return Answer(ids, False)


def told(
    network: nn.Module,
    labeller: Labeller,
    prompt: str,
    limit: int,
    go_on: Callable[[], bool] = lambda: True,
) -> tuple[str, bool]:
    """(the greedy answer as text, whether it came to an end) to a user's message alone."""
    answer = greedy(network, labeller.asked(prompt), labeller.stop_ids, limit, go_on)
    return labeller.tokenizer.decode(answer.ids, skip_special_tokens=True).strip(), answer.stopped


def until(deadline: float) -> Callable[[], bool]:
    """Says no once `time.monotonic` has passed it."""
    return lambda: time.monotonic() < deadline
