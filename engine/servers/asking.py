"""Asks a server for one reply: streams it, stops it, and asks again in words that the server understands."""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import Any

from msgspec.structs import replace

from engine.backend import ReplyResult, ReplySink, ReplySpec
from engine.chat.thinking import soft_switch
from engine.protocol.errors import fault
from engine.protocol.specs import ChatSettings, Finish, ModelInfo, ReplyStats
from engine.servers.asked import Dialect, Piece, Question, Usage
from engine.servers.counting import Guesses, bounds
from engine.servers.errors import Refused, not_an_api, short, stopped
from engine.servers.kinds import kind_of
from engine.servers.lines import Events
from engine.servers.link import Link, quietly
from engine.servers.ollama import Ollama
from engine.servers.openai import OpenAI
from engine.servers.writing import Writing

POLL = 0.03
"""Seconds between two looks at whether the reply was stopped."""
TRIES = 8
"""Requests for one reply at most: each one drops what the server refused by name, or old turns."""
SHRINK = 0.7
"""What is tried of a prompt that the server found too long."""
CORE = frozenset({"model", "messages", "stream", "options"})
OPENED = re.compile(r"qwen-?3\.[5-9]|thinking|qwq|r1", re.IGNORECASE)
"""Models whose templates open thinking in the prompt, so that the text begins inside it."""


class Memory:
    """What was learned of one server while it was asked."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        """Parameters that it does not take."""
        self.renamed: dict[str, str] = {}


class Asking:
    """One reply. Used from the servers' loop."""

    def __init__(
        self,
        link: Link,
        info: ModelInfo,
        spec: ReplySpec,
        sink: ReplySink,
        guesses: Guesses,
        memory: Memory,
    ) -> None:
        """`info.id` is the endpoint's name and the server's name of the model."""
        self._link = link
        self._info = info
        self._spec = spec
        self._sink = sink
        self._guesses = guesses
        self._memory = memory
        self._kind = kind_of(link.endpoint.kind)
        self._dialect: Dialect = Ollama() if link.endpoint.kind == "ollama" else OpenAI()
        self._model = info.id.removeprefix(f"{link.endpoint.name}/")
        self._settings = self._chosen()
        self._turns = spec.turns
        self._think = self._settings.think and self._settings.think_budget != 0
        self._writing = Writing(sink, starts_thinking=self._think and self._opens())
        self._usage = Usage()
        self._cut_tokens = 0
        """Tokens of a first request that was cut off to have the answer."""
        self._may_cut = info.thinking != "never" and bool(self._kind.switch)
        self._size, self._budget = bounds(info, self._settings)
        self._guess: int | None = None

    async def run(self) -> ReplyResult:
        """The whole reply; a stop still returns what came. Raises EngineError."""
        begun = self._spec.begun
        if begun is not None:
            self._check_begun()
            self._writing.begun(begun.thinking, begun.text)
        self._sink.moved("prefill")
        self._fit()
        finish = await self._asked(begun.text if begun else "")
        self._writing.flush()
        if self._usage.prompt and self._turns == self._spec.turns:
            self._guesses.learn(self._info, self._turns, self._settings, self._usage.prompt)
        await self._ask_size()
        return self._result(finish)

    # --- before -----------------------------------------------------------------------------

    def _chosen(self) -> ChatSettings:
        """The settings as this reply uses them: `/think` in the message, and a seed."""
        settings = self._spec.settings
        said = soft_switch(self._spec.turns[-1].text) if self._spec.turns else None
        if said is not None:
            settings = replace(settings, think=said)
        if settings.sampling.seed is None and "seed" in self._kind.sampling:
            settings = replace(settings, sampling=replace(settings.sampling, seed=secrets.randbits(31)))
        return settings

    def _opens(self) -> bool:
        plain = self._link.endpoint.kind in ("vllm", "sglang", "transformers")
        return plain and self._info.thinking != "never" and bool(OPENED.search(self._model))

    def _check_begun(self) -> None:
        if self._kind.prefill is None:
            raise fault(
                "no_continuing",
                f"{self._kind.title} cannot go on with a reply",
                "It only writes whole ones",
                "Ask for another version instead, or use a model of this machine",
            )
        begun = self._spec.begun
        if begun is not None and not begun.text:
            raise fault(
                "no_continuing",
                "A server cannot go on in the middle of its thinking",
                remedy="Ask for another version instead",
            )
        self._think = False  # what is continued is the answer

    def _fit(self) -> None:
        """Leave out the oldest turns that the server's context will not hold, as far as one can guess."""
        if self._settings.overflow == "stop":
            return
        self._turns = self._guesses.look(self._info, self._spec.turns, self._settings, self._budget).turns

    # --- asking -----------------------------------------------------------------------------

    async def _asked(self, begun: str) -> Finish:
        for _ in range(TRIES):
            body = self._body(begun)
            self._writing.asked()
            try:
                finish = await self._until_stopped(body)
            except Refused as error:
                if not self._writing.empty or not self._easier(error, body):
                    raise
                continue
            if finish != "cut":
                return self._finish(finish)
            self._cut()
        raise fault(
            "server_refused",
            f"{self._link.endpoint.name} refused every form of the question",
            remedy=f"Look at it: `qwill endpoints check {self._link.endpoint.name}`",
        )

    def _body(self, begun: str) -> dict[str, Any]:
        question = Question(self._model, self._info, self._turns, self._settings, self._think, begun)
        body = self._dialect.body(question, self._kind)
        for place in (body, body.get("options", {})):
            for name in self._memory.refused & place.keys():
                del place[name]
            for name in self._memory.renamed.keys() & place.keys():
                place[self._memory.renamed[name]] = place.pop(name)
        return body

    def _easier(self, error: Refused, body: dict[str, Any]) -> bool:
        """Whether the question was changed so that it may be taken now."""
        if error.info.code == "context_full":
            return self._shorter()
        if error.status not in (400, 422):
            return False
        named = {
            name
            for name in (body.keys() | body.get("options", {}).keys()) - CORE
            if re.search(rf"(?<![A-Za-z_]){name}(?![A-Za-z_])", error.words)
        }
        if "max_tokens" in named and "max_completion_tokens" in error.words:
            self._memory.renamed["max_tokens"] = "max_completion_tokens"
            return True
        self._memory.refused |= named
        return bool(named)

    def _shorter(self) -> bool:
        """Leave out more of the oldest turns; whether there was anything to leave out."""
        if self._settings.overflow == "stop":
            return False
        now = self._guesses.look(self._info, self._turns, self._settings, 1 << 60).whole
        kept = self._guesses.look(self._info, self._turns, self._settings, int(now * SHRINK)).turns
        shorter = len(kept) < len(self._turns)
        self._turns, self._guess = kept, None
        return shorter

    async def _until_stopped(self, body: dict[str, Any]) -> str:
        """The server's word for why it ended; `cancelled` when stopped, `cut` when it shall answer now."""
        reading = asyncio.ensure_future(self._read(body))
        try:
            while True:
                done, _ = await asyncio.wait({reading}, timeout=POLL)
                if done:
                    return reading.result()
                if self._sink.cancelled.is_set():
                    return "cancelled"
                if self._must_cut():
                    return "cut"
        finally:
            reading.cancel()  # leaving the stream closes the connection, and that stops the server
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, body: dict[str, Any]) -> str:
        endpoint, events, finish = self._link.endpoint, Events(), ""
        path = self._dialect.path(endpoint.root, endpoint.url)
        async with self._link.stream(path, body, model=self._model) as chunks:
            async for chunk in chunks:
                for answer in events.feed(chunk):
                    finish = self._take(self._dialect.piece(answer)) or finish
                if events.done:
                    break
            for answer in events.end():
                finish = self._take(self._dialect.piece(answer)) or finish
        if not finish and not events.done:
            if self._writing.empty and events.foreign:
                raise not_an_api(endpoint, "Its answer is not in the format of chat completions")
            raise stopped(endpoint)
        return finish or "stop"

    def _take(self, piece: Piece) -> str:
        """One step of the stream; returns why the reply ended, once it has."""
        if piece.error:
            raise stopped(self._link.endpoint, short(piece.error, self._link.key))
        if piece.usage is not None:
            self._usage = _merged(self._usage, piece.usage)
        self._writing.feed(piece)
        self._sink.stats(self._stats())
        return piece.finish

    # --- thinking cut short -----------------------------------------------------------------

    def _must_cut(self) -> bool:
        if not (self._may_cut and self._think and self._writing.part == "thinking"):
            return False
        budget = self._settings.think_budget
        spent = budget is not None and self._writing.thinking_tokens >= budget
        return spent or self._sink.answer_now.is_set()

    def _cut(self) -> None:
        """Ask again for the answer alone; the thoughts so far stay with the reply."""
        self._think = False
        self._cut_tokens = self._writing.tokens
        self._writing.again()

    # --- the end ----------------------------------------------------------------------------

    def _finish(self, said: str) -> Finish:
        if said == "cancelled":
            return "cancelled"
        if said != "length":
            return "stop"
        used = self._stats().context_used
        return "context" if self._size and used >= 0.95 * self._size else "length"

    async def _ask_size(self) -> None:
        """Ollama gives a chat less context than the model has, and tells only once it is loaded."""
        if self._link.endpoint.kind != "ollama":
            return
        answer = await quietly(self._link.get(f"{self._link.endpoint.root}/api/ps", seconds=2.0))
        for row in answer.get("models", ()) if isinstance(answer, dict) else ():
            if isinstance(row, dict) and row.get("name") == self._model:
                size = row.get("context_length")
                self._size = size if isinstance(size, int) and size > 0 else self._size

    def _result(self, finish: Finish) -> ReplyResult:
        text, thinking = self._writing.text("answer"), self._writing.text("thinking")
        if finish == "stop" and self._writing.never_closed():
            text, thinking = thinking, ""
        stats = replace(self._stats(), note=self._note(thinking))
        return ReplyResult(text, thinking, finish, stats, self._settings)

    def _stats(self) -> ReplyStats:
        writing, usage = self._writing, self._usage
        tokens = writing.tokens if usage.tokens is None else usage.tokens + self._cut_tokens
        guess = usage.prompt is None
        prompt = self._prompt_guess() if usage.prompt is None else usage.prompt
        spent = usage.decode_s if usage.decode_s and not self._cut_tokens else writing.decode_s
        steps = tokens if usage.decode_s and not self._cut_tokens else tokens - 1
        thoughts = writing.thinking_tokens if usage.thinking is None else usage.thinking + self._cut_tokens
        return ReplyStats(
            prompt_tokens=prompt,
            cached_tokens=usage.cached or 0,
            tokens=tokens,
            thinking_tokens=min(thoughts, tokens),
            thinking_s=writing.thinking_s,
            ttft_ms=writing.ttft_ms,
            tokens_per_s=steps / spent if spent > 0 and steps > 0 else 0.0,
            context_used=prompt + tokens,
            context_size=self._size,
            estimated=guess or usage.tokens is None,
        )

    def _prompt_guess(self) -> int:
        if self._guess is None:
            self._guess = self._guesses.look(self._info, self._turns, self._settings, 1 << 60).whole
        return self._guess

    def _note(self, thinking: str) -> str:
        """What of the reply is not as it was asked for."""
        title, notes = self._kind.title, []
        if thinking.strip() and not self._settings.think and self._spec.begun is None:
            notes.append(f"It thought although thinking is off: {title} did not follow the switch")
        lost = [name.replace("_", " ") for name in self._lost()]
        if lost:
            notes.append(f"{title} takes no {', '.join(lost)}, so that had no effect")
        gone = len(self._spec.turns) - len(self._turns)
        if gone:
            notes.append(f"The oldest {gone} messages were left out, to fit the server's context")
        return ". ".join(notes)

    def _lost(self) -> list[str]:
        """Names of what was set for this reply and could not be passed on."""
        wanted, lost = self._spec.settings.sampling, []
        for name in ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed", "max_tokens"):
            theirs = self._kind.sampling.get(name, "max_tokens" if name == "max_tokens" else "")
            if getattr(wanted, name) is not None and (not theirs or theirs in self._memory.refused):
                lost.append(name)
        return lost


def _merged(old: Usage, new: Usage) -> Usage:
    """The newer numbers, the older ones where it has none."""
    return Usage(
        *(
            getattr(old, name) if getattr(new, name) is None else getattr(new, name)
            for name in Usage.__struct_fields__
        )
    )
