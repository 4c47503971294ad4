"""What a model thought likely at each token of a reply: its raw logits, before any sampler changed them."""

from __future__ import annotations

import math
import threading
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import torch
from transformers import PreTrainedTokenizerBase

from engine.protocol.errors import fault
from engine.protocol.inspect import Alternative, Inspection, TokenFact
from engine.protocol.specs import Part
from engine.workers.prompt import Prompt
from engine.workers.sampling import finite
from engine.workers.steps import CHUNK, Steps
from engine.workers.tokens import BROKEN, TokenDecoder, is_byte
from engine.workers.vocabulary import Vocabulary

LOGITS = 1 << 23
"""Logits computed at once: 32 MiB as float32, whatever the vocabulary."""
PAGE = 512
"""Tokens in one answer at most."""
TOP = 20
"""Alternatives of one token at most."""
_STOPPED = "The inspection was stopped"


class Row(NamedTuple):
    """One token under the distribution that stood before it."""

    probability: float
    entropy: float
    """Bits."""
    top: list[tuple[int, float]]
    """Ids and probabilities, best first."""


class Inspected:
    """One reply as far as it has been looked into; the next page goes on from there."""

    def __init__(
        self, weights: Hashable, vocabulary: Vocabulary, prompt: Prompt, reply: Sequence[int], top: int
    ) -> None:
        """`weights` names them and the adapter on them; `top`: how many alternatives of each token."""
        self._prompt = list(prompt.ids)
        self._reply = list(reply)
        self._top = max(0, min(top, TOP))
        self._weights = weights
        self._texts = TokenTexts(vocabulary, started=prompt.thinking)
        self._facts: list[TokenFact] = []

    def same(self, other: Inspected) -> bool:
        """Whether what is known of the one holds for the other."""
        mine = (self._weights, self._prompt, self._reply, self._top)
        return mine == (other._weights, other._prompt, other._reply, other._top)

    @property
    def sequence(self) -> list[int]:
        """Prompt and reply: what the model sees."""
        return self._prompt + self._reply

    def extend(self, steps: Steps, end: int, cancelled: threading.Event) -> None:
        """Look into the tokens before `end`. Raises EngineError `cancelled`; what was computed is kept."""

        def go_on() -> bool:
            return not cancelled.is_set()

        done, end = len(self._facts), min(end, len(self._reply))
        if done >= end:
            return
        first = steps.prefill(self._prompt + self._reply[:done], go_on)
        if first is None:
            raise fault("cancelled", _STOPPED)
        self._take(first[None])
        size = max(1, min(CHUNK, LOGITS // first.shape[-1]))
        del first
        while (done := len(self._facts)) < end:
            if not go_on():
                raise fault("cancelled", _STOPPED)
            self._take(steps.rows(self._reply[done - 1 : min(done - 1 + size, end - 1)]))

    def page(self, start: int, end: int) -> Inspection:
        """A stretch of what has been looked into."""
        return Inspection(tuple(self._facts[start:end]), len(self._reply))

    def _take(self, logits: torch.Tensor) -> None:
        """Logits `[rows, vocabulary]`, the first of them before the next token that has no fact yet."""
        done = len(self._facts)
        reply = self._reply[done : done + logits.shape[0]]
        for token, row in zip(reply, measured(logits, reply, self._top), strict=True):
            self._facts.append(self._texts.fact(token, row))


def measured(logits: torch.Tensor, tokens: Sequence[int], top: int) -> list[Row]:
    """One Row a token, from logits `[tokens, vocabulary]`. Raises EngineError `broken_logits` on NaN."""
    finite(logits.amax(-1))
    logs = logits.float().log_softmax(-1)
    places = torch.tensor(tokens, device=logs.device)[:, None]
    taken = logs.gather(-1, places)[:, 0].exp().tolist()
    best, ids = logs.topk(min(top, logs.shape[-1]))
    shares, names = best.exp().tolist(), ids.tolist()
    # In place: the largest thing here is the table of logits itself.
    entropies = (torch.special.entr(logs.exp_()).sum(-1) / math.log(2)).tolist()
    return [
        Row(taken[place], max(0.0, entropies[place]), list(zip(names[place], shares[place], strict=True)))
        for place in range(len(tokens))
    ]


class TokenTexts:
    """What each token of one reply says, and what others would have said in its place."""

    def __init__(self, vocabulary: Vocabulary, *, started: bool) -> None:
        self._tokenizer = vocabulary.tokenizer
        self._special = frozenset(vocabulary.tokenizer.all_special_ids)
        self._decoder = TokenDecoder(vocabulary.tokenizer, hold_bytes=False)
        self._parser = vocabulary.parser(started)

    def fact(self, token: int, row: Row) -> TokenFact:
        """The next token. Its alternatives are decoded behind the same text."""
        alternatives = tuple(Alternative(other, self._spoken(other), share) for other, share in row.top)
        before = self._parser.part
        text = self._decoder.feed(token)
        self._parser.feed(token, text)
        # A tag belongs to the thinking that it opens or closes.
        part: Part = "thinking" if "thinking" in (before, self._parser.part) else "answer"
        if token in self._special:
            text = _name(self._tokenizer, token)
        return TokenFact(token, text, part, row.probability, row.entropy, alternatives)

    def _spoken(self, token: int) -> str:
        name = _name(self._tokenizer, token)
        if token in self._special or not name:
            return name or f"<{token}>"
        text = self._decoder.would_add(token)
        return half_character(name) if text.endswith(BROKEN) else text


def half_character(name: str) -> str:
    """A token that is no whole character as its bytes, such as `<0xF0><0x9F>`; its own name where unknown."""
    if is_byte(name):
        return name
    values = [_BYTES.get(letter) for letter in name]
    known = [value for value in values if value is not None]
    return "".join(f"<0x{value:02X}>" for value in known) if len(known) == len(values) else name


def _name(tokenizer: PreTrainedTokenizerBase, token: int) -> str:
    """As the vocabulary writes it; empty where a model has more ids than its tokenizer knows."""
    name = tokenizer.convert_ids_to_tokens(token)
    return name if isinstance(name, str) else ""


def _byte_letters() -> dict[str, int]:
    """The letters that byte-level vocabularies write bytes with. Source: GPT-2's `bytes_to_unicode`."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = {chr(value): value for value in plain}
    others = (value for value in range(0x100) if value not in set(plain))
    return letters | {chr(0x100 + place): value for place, value in enumerate(others)}


_BYTES = _byte_letters()
