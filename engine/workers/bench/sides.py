"""The two sides of a measurement over one prompt: our loop, and transformers' `generate`."""

from __future__ import annotations

import copy
import random
import threading
import time
from typing import Any, NamedTuple

import torch
from transformers import DynamicCache, GenerationConfig

from engine.protocol.specs import MessageState, Part, ReplyStats, Sampling
from engine.workers.attention import stock_attention
from engine.workers.decode import Decoding, Limits
from engine.workers.loaded import LoadedModel
from engine.workers.prefix import PrefixCache
from engine.workers.prompt import Prompt
from engine.workers.sampling import Sampler
from engine.workers.seeing import SeeingSteps
from engine.workers.steps import CHUNK, CachedSteps
from engine.workers.tokens import TokenDecoder
from engine.workers.vocabulary import Vocabulary
from engine.workers.writer import ReplyWriter

NO_TOKEN = -1
"""Ends no reply."""
_WORDS = ("farmer", "sailor", "teacher", "doctor", "child", "dog", "cat", "horse", "bird", "fox")


class Timed(NamedTuple):
    """One reply."""

    ids: list[int]
    tokens_per_s: float
    """From the first token chosen to the last one."""


class Sink:
    """Listens to nothing."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.answer_now = threading.Event()

    def moved(self, state: MessageState) -> None: ...

    def text(self, part: Part, text: str) -> None: ...

    def stats(self, stats: ReplyStats) -> None: ...


def prose(sentences: int) -> str:
    """So many sentences of one story, the same each time: replies to it are replies."""
    draw = random.Random(5)
    days = [10 + day % 90 for day in range(sentences)]  # of as many digits, and so of as many tokens
    return " ".join(f"On day {day} the {draw.choice(_WORDS)} met a {draw.choice(_WORDS)}." for day in days)


def prompt_of(vocabulary: Vocabulary, length: int) -> list[int]:
    """A text of exactly so many tokens."""
    return vocabulary.plain(prose(length))[:length]


class Ours:
    """The loop that a chat runs on, over a cache that keeps the prompt from one reply to the next."""

    def __init__(self, loaded: LoadedModel, prompt: list[int]) -> None:
        self._loaded = loaded
        self._prompt = prompt
        self._prefix = PrefixCache("bench", loaded.model.config)

    @torch.inference_mode()
    def reply(self, tokens: int) -> Timed:
        """Greedy, of exactly so many tokens."""
        vocabulary, sink = self._loaded.vocabulary, Sink()
        writer = ReplyWriter(TokenDecoder(vocabulary.tokenizer), vocabulary.parser(False), sink)
        decoding = Decoding(
            self._steps(),
            Sampler(Sampling()),
            writer,
            sink,
            Limits(len(self._prompt) + tokens + 1, tokens, None),
            stops=frozenset(),
            early_stop=[],
        )
        decoding.run(Prompt(self._prompt, False))
        return Timed(decoding.ids, decoding.stats().tokens_per_s)

    @torch.inference_mode()
    def agreement(self, reference: list[int]) -> float:
        """Share of these ids that it finds likeliest, each behind those before it."""
        steps = self._steps()
        logits = steps.prefill(self._prompt, lambda: True)
        agreed = 0
        for place, token in enumerate(reference):
            assert logits is not None
            agreed += int(logits.argmax()) == token
            if place + 1 < len(reference):
                logits = steps.feed([token])
        return agreed / len(reference)

    def _steps(self) -> CachedSteps:
        model, eyes = self._loaded.model, self._loaded.vocabulary.eyes
        # The state before the prompt's last token, which a hybrid model returns to for each reply.
        boundary = len(self._prompt) - 1
        if eyes is not None:
            return SeeingSteps(model, self._prefix, boundary, eyes, ())
        return CachedSteps(model, self._prefix, boundary)


class Theirs:
    """`model.generate` with its default cache, which holds the prompt before the clock starts."""

    def __init__(self, loaded: LoadedModel, prompt: list[int]) -> None:
        self._model: Any = loaded.model
        self._ids = torch.tensor([prompt])
        self._cache: DynamicCache | None = None

    def plain(self, tokens: int) -> list[int]:
        """The ids as `generate` computes them from nothing but the prompt."""
        return self._generate(tokens, _Stamps())

    def reply(self, tokens: int) -> Timed:
        """Greedy, of exactly so many tokens, from a copy of the filled cache."""
        if self._cache is None:
            self._cache = self._filled()
        stamps = _Stamps()
        ids = self._generate(tokens, stamps, past_key_values=copy.deepcopy(self._cache))
        return Timed(ids, (tokens - 1) / (stamps.last - stamps.first))

    def _filled(self) -> DynamicCache:
        cache = DynamicCache(config=self._model.config)
        with torch.no_grad(), stock_attention(self._model):
            for start in range(0, self._ids.shape[-1] - 1, CHUNK):
                end = min(start + CHUNK, self._ids.shape[-1] - 1)
                self._model(input_ids=self._ids[:, start:end], past_key_values=cache, use_cache=True)
        return cache

    def _generate(self, tokens: int, stamps: _Stamps, **more: Any) -> list[int]:
        config = GenerationConfig(
            do_sample=False,
            max_new_tokens=tokens,
            eos_token_id=NO_TOKEN,
            pad_token_id=0,
            repetition_penalty=1.0,
        )
        with stock_attention(self._model):
            out = self._model.generate(
                self._ids,
                attention_mask=torch.ones_like(self._ids),
                generation_config=config,
                streamer=stamps,
                **more,
            )
        return [int(token) for token in out[0, self._ids.shape[-1] :]]


class _Stamps:
    """A streamer that notes when the first and the last new token came; the prompt comes before them."""

    def __init__(self) -> None:
        self._begun = False
        self.first = self.last = 0.0

    def put(self, _value: torch.Tensor) -> None:
        if not self._begun:
            self._begun = True
            return
        self.last = time.perf_counter()
        self.first = self.first or self.last

    def end(self) -> None: ...
