"""The decode loop: prefill, then token after token until something ends the reply."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from engine.backend import ReplySink
from engine.protocol.specs import Finish, ReplyStats
from engine.workers.prompt import Prompt
from engine.workers.sampling import Sampler
from engine.workers.steps import Steps
from engine.workers.writer import ReplyWriter

STATS_EVERY = 10
"""Tokens between two reports."""


class Limits(NamedTuple):
    """What bounds a reply, in tokens."""

    context: int
    max_tokens: int | None
    think_budget: int | None


class Decoding:
    """One reply on its way."""

    def __init__(
        self,
        steps: Steps,
        sampler: Callable[[torch.Tensor], int] | Sampler,
        writer: ReplyWriter,
        sink: ReplySink,
        limits: Limits,
        *,
        stops: frozenset[int],
        early_stop: list[int],
    ) -> None:
        """`stops`: ids that end the reply; `early_stop`: ids that end its thinking when forced."""
        self._steps = steps
        self._sampler = sampler
        self._writer = writer
        self._sink = sink
        self._limits = limits
        self._stops = stops
        self._early_stop = early_stop
        self.ids: list[int] = []
        """All tokens of the reply so far: those it began with, special ones and the stop token too."""
        self._forced = False
        self._prompt_tokens = 0
        self._begun = 0
        self._tokens = 0
        self._started = 0.0
        self._ttft_s = 0.0
        self._single_steps = 0
        self._decode_s = 0.0

    def run(self, prompt: Prompt, begun: Sequence[int] = (), begun_s: float = 0.0) -> Finish:
        """Stream the reply into the writer; says why it ended.

        `begun`: ids that the reply begins with, its thinking in them took `begun_s` seconds. They are written
        before anything is computed; where they end in a stop token, that is the reply.
        """
        self._prompt_tokens, self._begun = len(prompt.ids), len(begun)
        self._started = time.perf_counter()
        self._sink.moved("prefill")
        self.ids.extend(begun)
        complete = bool(begun) and begun[-1] in self._stops
        self._writer.begun(begun[:-1] if complete else begun, begun_s)
        finish: Finish = "stop" if complete else self._go_on_from([*prompt.ids, *begun])
        self._writer.flush()
        self._sink.stats(self.stats())
        return finish

    def stats(self) -> ReplyStats:
        """Where the reply stands."""
        return ReplyStats(
            prompt_tokens=self._prompt_tokens,
            cached_tokens=min(self._steps.cached, self._prompt_tokens),
            tokens=self._begun + self._tokens,
            thinking_tokens=self._writer.thinking_tokens,
            thinking_s=self._writer.thinking_s,
            ttft_ms=self._ttft_s * 1e3,
            tokens_per_s=self._single_steps / self._decode_s if self._decode_s > 0 else 0.0,
            context_used=self._steps.fed,
            context_size=self._limits.context,
            threads=torch.get_num_threads(),
        )

    def _go_on_from(self, ids: Sequence[int]) -> Finish:
        logits = self._steps.prefill(ids, self._go_on)
        if logits is None:
            return "cancelled"
        self._writer.begin()
        return self._decode(logits)

    def _go_on(self) -> bool:
        """Between two chunks of the prefill."""
        self._sink.stats(self.stats())
        return not self._sink.cancelled.is_set()

    def _decode(self, logits: torch.Tensor) -> Finish:
        while not self._sink.cancelled.is_set():
            if self._must_answer():
                if self._steps.fed + len(self._early_stop) >= self._limits.context:
                    return "context"
                logits = self._answer_now()
            began = time.perf_counter()
            token = self._sampler(logits)
            if not self._ttft_s:
                self._ttft_s = time.perf_counter() - self._started
            self.ids.append(token)
            if token in self._stops:
                return "stop"
            self._took(token)
            if self._limits.max_tokens is not None and self._tokens >= self._limits.max_tokens:
                return "length"
            if self._steps.fed + 1 >= self._limits.context:
                return "context"
            logits = self._steps.feed([token])
            self._single_steps += 1
            self._decode_s += time.perf_counter() - began
        return "cancelled"

    def _took(self, token: int) -> None:
        self._writer.token(token)
        self._tokens += 1
        if self._tokens % STATS_EVERY == 1:
            self._sink.stats(self.stats())

    def _must_answer(self) -> bool:
        """Whether thinking is to end here: its budget is spent, or the person asked for the answer."""
        if self._forced or self._writer.part != "thinking":
            return False
        budget = self._limits.think_budget
        spent = budget is not None and self._writer.thinking_tokens >= budget
        return spent or self._sink.answer_now.is_set()

    def _answer_now(self) -> torch.Tensor:
        """End the thinking on the live cache, as one small prefill."""
        self._forced = True
        self.ids.extend(self._early_stop)
        for token in self._early_stop:
            self._writer.token(token, counted=False)
        return self._steps.feed(self._early_stop)
