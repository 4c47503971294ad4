"""One reply of a batch: takes a row of logits each step, and knows when it has ended."""

from __future__ import annotations

import threading
import time

import torch

from engine.backend import ReplyResult, ReplySpec
from engine.chat.window import context_size
from engine.protocol.specs import Finish, MessageState, Part, ReplyStats
from engine.workers.begun import begin
from engine.workers.claims import check_ids
from engine.workers.loaded import LoadedModel
from engine.workers.sampling import Sampler
from engine.workers.settled import settled
from engine.workers.tokens import TokenDecoder
from engine.workers.writer import ReplyWriter


class BatchRow:
    """Decides as engine.workers.decode does, a token at a time, but is fed from outside."""

    def __init__(self, place: int, loaded: LoadedModel, spec: ReplySpec) -> None:
        """Raises EngineError: `prompt_too_long`, `context_full`, `template_failed`, `vocabulary_mismatch`."""
        self.place = place
        self._settings = settled(spec, loaded)
        vocabulary = loaded.vocabulary
        prompt, _ = begin(vocabulary, spec, self._settings, loaded.info)
        check_ids(loaded.info.name, prompt.ids, loaded.model.get_input_embeddings())
        self.prompt = prompt.ids
        self._writer = ReplyWriter(
            TokenDecoder(vocabulary.tokenizer), vocabulary.parser(prompt.thinking), _Quiet()
        )
        self._sampler = Sampler(self._settings.sampling, prompt.ids)
        self._context = context_size(loaded.info.context, self._settings)
        self._stops = vocabulary.stops
        self._early_stop = vocabulary.early_stop()
        self._forced: list[int] | None = None
        """What is left of the sentence that ends the thinking; None before it is needed."""
        self._ids: list[int] = []
        self._tokens = 0
        self._fed = len(prompt.ids)
        self._began = self._first = time.perf_counter()
        self.finish: Finish | None = None

    @property
    def position(self) -> int:
        """Of the token that is fed next, counted from the row's own beginning."""
        return self._fed - 1

    def take(self, logits: torch.Tensor) -> int:
        """The next token, from logits `[vocabulary]`, float32. `finish` is set where it ends the reply."""
        if not self._ids:
            self._writer.begin()
        if self._must_answer():
            self._forced = list(self._early_stop)
            if self._fed + len(self._forced) >= self._context:
                self.finish = "context"
                return 0
        counted = not self._forced
        token = self._sampler(logits) if counted else self._forced.pop(0)  # type: ignore[union-attr]
        if not self._ids:
            self._first = time.perf_counter()
        self._ids.append(token)
        if counted and token in self._stops:
            self.finish = "stop"
            return token
        self._writer.token(token, counted=counted)
        self._tokens += counted
        most = self._settings.sampling.max_tokens
        if most is not None and self._tokens >= most:
            self.finish = "length"
        elif self._fed + 1 >= self._context:
            self.finish = "context"
        self._fed += 1
        return token

    def result(self, memory: int) -> ReplyResult:
        """The reply as it ended; `memory` in bytes."""
        self._writer.flush()
        assert self.finish is not None
        return ReplyResult(
            self._writer.text("answer"),
            self._writer.text("thinking"),
            self.finish,
            self._stats(),
            self._settings,
            tuple(self._ids),
            memory=memory,
        )

    def _stats(self) -> ReplyStats:
        decoding = time.perf_counter() - self._first
        return ReplyStats(
            prompt_tokens=len(self.prompt),
            tokens=self._tokens,
            thinking_tokens=self._writer.thinking_tokens,
            thinking_s=self._writer.thinking_s,
            ttft_ms=(self._first - self._began) * 1e3,
            tokens_per_s=(len(self._ids) - 1) / decoding if len(self._ids) > 1 and decoding > 0 else 0.0,
            context_used=len(self.prompt) + len(self._ids),
            context_size=self._context,
            threads=torch.get_num_threads(),
        )

    def _must_answer(self) -> bool:
        """Whether the budget for thinking is spent."""
        budget = self._settings.think_budget
        if self._forced is not None or budget is None or self._writer.part != "thinking":
            return False
        return self._writer.thinking_tokens >= budget


class _Quiet:
    """A ReplySink that nobody listens to."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.answer_now = threading.Event()

    def moved(self, state: MessageState) -> None:
        """Not shown."""

    def text(self, part: Part, text: str) -> None:
        """The result has it."""

    def stats(self, stats: ReplyStats) -> None:
        """Not shown."""
