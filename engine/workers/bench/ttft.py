"""`qwill bench ttft`: time to the first token of a chat's third turn, with its cache and with none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

from engine.backend import Begun, LoadSpec, ReplyResult, ReplySpec, Turn
from engine.benching import REPLY, BenchJob, TtftBench
from engine.protocol.specs import ChatSettings, MessageState, ReplyStats, Sampling
from engine.workers.backend import TorchBackend
from engine.workers.bench.machine import machine
from engine.workers.bench.sides import Sink, prose
from engine.workers.device import use_threads

OTHER = 64
"""About what the headers and the short turns take."""
WARM, COLD = "warm", "cold"


class First(NamedTuple):
    """One third reply."""

    ids: tuple[int, ...]
    seconds: float
    """From the question to its first token, the template and the tokeniser included."""
    prompt_s: float
    """Of them, before the first step of the prefill."""
    stats: ReplyStats


class _Clock(Sink):
    """Notes when the prefill begins."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0.0

    def moved(self, state: MessageState) -> None:
        self.begun = self.begun or time.perf_counter()


def measure_ttft(job: BenchJob, told: Callable[[str], None]) -> TtftBench:
    """Measure. Raises EngineError, as a load and a reply do."""
    use_threads(job.model.parameters)
    told("measuring the memory's bandwidth")
    here = machine()
    told("loading the model")
    backend = TorchBackend()
    info = backend.load(LoadSpec(job.model, job.dtype, job.quant), lambda *_: None, threading.Event())
    chat = _Chat(backend, job)
    warm, cold = [], []
    for number in range(job.rounds):
        told(f"round {number + 1} of {job.rounds}")
        chat.second()
        warm.append(chat.third(WARM))
        cold.append(chat.third(COLD))
    same = {reply.ids for reply in warm} == {reply.ids for reply in cold}
    warm_s, cold_s = (median(reply.seconds for reply in replies) for replies in (warm, cold))
    return TtftBench(
        machine=here,
        model=info.id,
        dtype=info.load_dtype,
        quant=job.quant,
        context=cold[0].stats.prompt_tokens,
        answer=chat.answered,
        cached=warm[0].stats.cached_tokens,
        rounds=job.rounds,
        same=same,
        cold_ms=cold_s * 1e3,
        warm_ms=warm_s * 1e3,
        ratio=warm_s / cold_s if same else None,
        prompt_ms=median(reply.prompt_s for reply in warm) * 1e3,
    )


class _Chat:
    """Three turns: a long question, a second one with an answer of `job.tokens`, and the third."""

    def __init__(self, backend: TorchBackend, job: BenchJob) -> None:
        self._backend = backend
        self._job = job
        self._each = self._tokens_a_sentence()
        self._turns: tuple[Turn, ...] = (
            Turn("user", self._story(job.context - job.tokens - OTHER)),
            Turn("assistant", "What a story!"),
            Turn("user", "Tell it again, but shorter."),
        )
        self._whole: tuple[Turn, ...] = ()
        self.answered = 0

    def second(self) -> None:
        """The second reply, which leaves the cache as a chat's third question finds it.

        What it says is given, and its last token is the model's, so that each model's has the same length.
        """
        begun = Begun(text=self._story(self._job.tokens))
        result = self._reply(WARM, self._turns, 1, Sink(), begun)
        self.answered = result.stats.tokens
        further = Turn("user", "What happened to the fox? Answer in several sentences.")
        self._whole = (*self._turns, Turn("assistant", result.text), further)

    def third(self, chat: str) -> First:
        """The third reply, timed."""
        if chat == COLD:
            self._backend.forget(COLD)
        clock, began = _Clock(), time.perf_counter()
        result = self._reply(chat, self._whole, REPLY, clock)
        prompt_s = clock.begun - began
        return First(result.ids, prompt_s + result.stats.ttft_ms / 1e3, prompt_s, result.stats)

    def _tokens_a_sentence(self) -> float:
        few, many = 4, 12
        counts = [
            self._reply(COLD, (Turn("user", prose(sentences)),), 1, Sink()).stats.prompt_tokens
            for sentences in (few, many)
        ]
        return (counts[1] - counts[0]) / (many - few)

    def _story(self, tokens: int) -> str:
        """As long as about so many tokens."""
        return prose(max(1, int(tokens / self._each)))

    def _reply(
        self, chat: str, turns: tuple[Turn, ...], tokens: int, sink: Sink, begun: Begun | None = None
    ) -> ReplyResult:
        sampling = Sampling(temperature=0.0, repetition_penalty=1.0, max_tokens=tokens)
        settings = ChatSettings(think=False, sampling=sampling)
        return self._backend.reply(ReplySpec(self._job.model.id, chat, turns, settings, begun=begun), sink)
