"""One reply through llama.cpp: a stream of tokens, broken off and gone on with where thinking is to end."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from engine.backend import ReplySink
from engine.llama.prompt import Prompt
from engine.llama.sampling import fields
from engine.llama.vocabulary import LlamaVocabulary
from engine.llama.wire import Wire
from engine.llama.writer import LlamaWriter
from engine.protocol.errors import fault
from engine.protocol.specs import ChatSettings, Finish, ReplyStats

STATS_EVERY = 10
"""Tokens between two reports."""
Grown = Callable[[int], tuple[Wire, int]]
"""Asked for a context of so many tokens: the wire to go on with, and the context there is."""


class Writing:
    """One reply on its way. `size`: tokens of prompt and reply together at most."""

    def __init__(
        self,
        vocabulary: LlamaVocabulary,
        writer: LlamaWriter,
        sink: ReplySink,
        prompt: Prompt,
        settings: ChatSettings,
        size: int,
        grown: Grown,
    ) -> None:
        self._vocabulary = vocabulary
        self._writer = writer
        self._sink = sink
        self._prompt = prompt
        self._settings = settings
        self._size = size
        self._grown = grown
        self.ids: list[int] = list(prompt.begun)
        """All tokens of the reply so far: those it began with, special ones and the stop token too."""
        self._forced = False
        self._tokens = 0
        self._told = 0
        self._stage_tokens = 0
        self._cached: int | None = None
        self._started = 0.0
        self._first: float | None = None
        self._last = 0.0

    def run(self) -> Finish:
        """Stream the reply into the writer; says why it ended. Raises EngineError `llama_lost`."""
        self._started = time.perf_counter()
        self._sink.moved("prefill")
        begun, complete = self._prompt.begun, False
        if begun and begun[-1] in self._vocabulary.stops:
            begun, complete = begun[:-1], True
        for token in self._texts(begun):
            self._writer.begun(*token)
        finish: Finish = "stop" if complete else self._go_on()
        self._writer.flush()
        self._sink.stats(self.stats())
        return finish

    def stats(self) -> ReplyStats:
        """Where the reply stands."""
        decoding = self._last - self._first if self._first is not None else 0.0
        return ReplyStats(
            prompt_tokens=len(self._prompt.ids),
            cached_tokens=min(self._cached or 0, len(self._prompt.ids)),
            tokens=len(self._prompt.begun) + self._tokens,
            thinking_tokens=self._writer.thinking_tokens,
            thinking_s=self._writer.thinking_s,
            ttft_ms=0.0 if self._first is None else (self._first - self._started) * 1e3,
            tokens_per_s=(self._tokens - 1) / decoding if decoding > 0 and self._tokens > 1 else 0.0,
            context_used=len(self._prompt.ids) + len(self.ids),
            context_size=self._size,
        )

    def _texts(self, ids: list[int]) -> list[tuple[int, str]]:
        """Tokens with the text that each adds; a character of several comes with the last of them."""
        texts: list[tuple[int, str]] = []
        waiting: list[int] = []
        for token in ids:
            waiting.append(token)
            text = "" if token in self._vocabulary.stops else self._vocabulary.text(waiting)
            if text.endswith("\ufffd"):
                texts.append((token, ""))
                continue
            waiting = []
            texts.append((token, text))
        return texts

    def _go_on(self) -> Finish:
        """Stage after stage: a new one where thinking was cut short, or the context has to grow."""
        while True:
            if self._must_answer():
                self._answer_now()
            used = len(self._prompt.ids) + len(self.ids)
            wire, context = self._grown(used + 1)
            if context <= used:
                self._size = context  # memory has no room for more
            room = min(context, self._size) - used
            if room <= 0:
                return "context"
            most = self._settings.sampling.max_tokens
            left = room if most is None else min(room, most - self._tokens)
            finish = self._stage(wire, left)
            if finish == "length" and (most is None or self._tokens < most):
                finish = None
            if finish is not None:
                return finish

    def _stage(self, wire: Wire, tokens: int) -> Finish | None:
        """One request; None when there is another to make."""
        self._stage_tokens = 0
        body = {
            "prompt": [*self._prompt.ids, *self.ids],
            "n_predict": tokens,
            "stream": True,
            "return_tokens": True,
            "return_progress": True,
            "cache_prompt": True,
            "id_slot": 0,
            **fields(self._settings.sampling),
        }
        with closing(wire.stream("/completion", body, self._wanted)) as events:
            for event in events:
                if event.get("stop"):
                    return self._ended(event)
                self._take(event)
                if not self._wanted():
                    break
        if self._sink.cancelled.is_set():
            return "cancelled"
        if self._must_answer():
            return None
        raise fault(
            "llama_lost",
            "The process that holds the GGUF model ended in the middle of the reply",
            remedy="Send the message again; the model is loaded anew",
            retryable=True,
        )

    def _wanted(self) -> bool:
        return not self._sink.cancelled.is_set() and not self._must_answer()

    def _take(self, event: dict[str, Any]) -> None:
        progress = event.get("prompt_progress")
        if progress is not None:
            if self._cached is None:
                self._cached = int(progress.get("cache", 0))
            return
        self._last = time.perf_counter()
        if self._first is None:
            self._first = self._last
            self._writer.begin()
        text, ids = str(event.get("content", "")), list(event.get("tokens", ()))
        count = int(event.get("tokens_predicted", 0)) - self._stage_tokens
        self._stage_tokens += count
        if count > len(ids) and text:
            # llama.cpp names only the last of the tokens that make one character together.
            ids = self._vocabulary.plain(text)
        self.ids += ids
        if not ids or ids[-1] in self._vocabulary.stops:
            return
        self._tokens += count
        self._writer.token(ids[-1], text, count=count)
        if self._tokens - self._told >= STATS_EVERY:
            self._told = self._tokens
            self._sink.stats(self.stats())

    def _ended(self, event: dict[str, Any]) -> Finish:
        if self._cached is None:
            self._cached = int(event.get("timings", {}).get("cache_n", 0))
        return "stop" if event.get("stop_type") in ("eos", "word") else "length"

    def _must_answer(self) -> bool:
        """Whether thinking is to end here: its budget is spent, or the person asked for the answer."""
        if self._forced or self._writer.part != "thinking":
            return False
        budget = self._settings.think_budget
        spent = budget is not None and self._writer.thinking_tokens >= budget
        return spent or self._sink.answer_now.is_set()

    def _answer_now(self) -> None:
        """End the thinking: what comes next is written behind the sentence that says so."""
        self._forced = True
        for token, text in self._texts(self._vocabulary.early_stop()):
            self.ids.append(token)
            self._writer.token(token, text, count=0)
