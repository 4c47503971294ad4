"""What prompts take, by the model's own tokenizer, and what stands in them for turns that do not fit.

Measuring has a lane of its own: the model lane is busy for as long as a reply is written, and the person
at the meter types meanwhile.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from engine.backend import ReplySpec, Turn
from engine.chat.files import with_files
from engine.chat.window import leading_system
from engine.chatbook import Chatbook
from engine.counting import Measured
from engine.lanes import Lane
from engine.protocol.commands import ContextUse, CountTokens, MeasureContext, TokenCount
from engine.protocol.errors import EngineError
from engine.protocol.specs import (
    ChatSettings,
    Message,
    MessageState,
    ModelInfo,
    Part,
    ReplyStats,
    Sampling,
)
from engine.shelf import Shelf
from engine.turns import turn_of

log = logging.getLogger(__name__)
SHARE = 0.5
"""Of what a prompt may take: what the newest turns keep when the older ones are summed up."""
PIECES = 8
"""Summaries written for one reply at most; what is older still is left out."""
SUMMARY_TOKENS = 400
ASK = (
    "Sum up our conversation so far, in its language and in at most 150 words, so that you can go on from "
    "the summary alone. Keep names, numbers, decisions and open questions. Write nothing else."
)
HEADING = "Summary of the conversation before this:"


class Prompting:
    """Counts, measures and shortens prompts. Used from the loop's thread."""

    def __init__(self, book: Chatbook, shelf: Shelf) -> None:
        self._book = book
        self._shelf = shelf
        self._lane = Lane("counting")

    def close(self) -> None:
        """End the thread."""
        self._lane.close()

    async def count(self, command: CountTokens) -> TokenCount:
        """Tokens of a text. Raises EngineError `model_not_found`, `tokenizer_broken`."""
        model = await self._shelf.find(command.model)
        counter = await self._shelf.answering.counter(model)
        tokens = await self._lane.run(counter.count, model, command.text)
        return TokenCount(tokens, estimated=model.runs_on == "server")

    async def measure(self, command: MeasureContext) -> ContextUse:
        """What the chat's next prompt takes, with what is typed but not sent."""
        chat = await self._book.chat(command.chat)
        model = await self._shelf.find(chat.model)
        messages = await self._book.sent(chat.id, chat.head)
        draft = Turn("user", with_files(command.draft, command.files), images=command.images)
        turns = (*map(turn_of, messages), draft)
        seen = await self.look(model, turns, chat.settings)
        if not seen.dropped:
            return ContextUse(seen.tokens, seen.size, seen.kept, estimated=seen.estimated)
        if chat.settings.overflow == "summarise" and model.chat:
            return await self._measure_summed_up(model, chat.settings, messages, turns, seen)
        gone = _ids(messages, seen.dropped)
        return ContextUse(seen.tokens, seen.size, seen.kept, gone, seen.estimated)

    async def prepared(
        self,
        spec: ReplySpec,
        reply: Message,
        cancelled: threading.Event,
        tell: Callable[[MessageState], None] | None = None,
    ) -> ReplySpec:
        """The reply with its oldest turns summed up, where the chat wants that and they do not fit.

        A summary is written once and stored; without `tell`, which hears that one is being written, none is
        written and the stored one is used. Where none can be had, the spec comes back as it was, and the
        oldest turns are left out.
        """
        model = await self._shelf.find(spec.model)
        if spec.settings.overflow != "summarise" or not model.chat or not spec.turns:
            return spec
        try:
            seen = await self.look(model, spec.turns, spec.settings)
            if not seen.dropped or not seen.fits:
                return spec
            messages = await self._book.sent(spec.chat, reply.parent)
            if len(messages) != len(spec.turns):
                return spec
            work = _Shortening(self, spec, model, [message.id for message in messages], cancelled)
            return await work.run(await self._book.summaries(spec.chat), tell)
        except EngineError as error:
            log.warning("the chat was not summed up: %s", error.info.sentence())
            return spec

    # --- inside -----------------------------------------------------------------------------

    async def look(
        self, model: ModelInfo, turns: tuple[Turn, ...], settings: ChatSettings, share: float = 1.0
    ) -> Measured:
        """The prompt that these turns make, in this share of what a prompt may take."""
        counter = await self._shelf.answering.counter(model)
        return await self._lane.run(counter.measure, model, turns, settings, share)

    async def _measure_summed_up(
        self,
        model: ModelInfo,
        settings: ChatSettings,
        messages: Sequence[Message],
        turns: tuple[Turn, ...],
        plain: Measured,
    ) -> ContextUse:
        """With the stored summary in place; what still does not fit is what would be summed up next."""
        stored = await self._book.summaries(messages[0].chat) if messages else {}
        text, start = newest_summary(stored, [message.id for message in messages])
        shorter = with_summary(turns, text, start)
        seen = await self.look(model, shorter, settings) if text else plain
        if seen.dropped:
            seen = await self.look(model, shorter, settings, SHARE)
        # Behind a summary, which is one turn in place of `start`, places count from there.
        moved = len(turns) - len(shorter)
        gone = tuple(place + moved for place in seen.dropped if place + moved >= start)
        return ContextUse(plain.tokens, plain.size, seen.kept, _ids(messages, gone), plain.estimated)

    async def front(
        self, model: ModelInfo, turns: tuple[Turn, ...], last: Turn, settings: ChatSettings
    ) -> int:
        """How many of the oldest turns fit together with `last` behind them."""
        counter = await self._shelf.answering.counter(model)
        return await self._lane.run(counter.front, model, turns, last, settings)

    async def generate(self, spec: ReplySpec, sink: SilentSink) -> str:
        """The text of a reply that nobody watches; empty when it was cut off."""
        desk = await self._shelf.answering.desk(await self._shelf.find(spec.model))
        result = await desk.lane.run(desk.answerer.reply, spec, sink)
        return result.text.strip() if result.finish in ("stop", "length") else ""

    async def keep(self, chat: str, upto: str, text: str) -> None:
        """Store a summary of everything up to this message."""
        await self._book.keep_summary(chat, upto, text)


class _Shortening:
    """One reply whose oldest turns are summed up, piece by piece, until the rest fits."""

    def __init__(
        self,
        prompting: Prompting,
        spec: ReplySpec,
        model: ModelInfo,
        ids: Sequence[str],
        cancelled: threading.Event,
    ) -> None:
        self._prompting = prompting
        self._spec = spec
        self._model = model
        self._ids = ids
        self._cancelled = cancelled
        self._settings = replace(
            spec.settings,
            think=False,
            think_budget=0,
            keep_thoughts=False,
            overflow="stop",
            sampling=Sampling(temperature=0.0, max_tokens=SUMMARY_TOKENS),
        )

    async def run(self, stored: dict[str, str], tell: Callable[[MessageState], None] | None) -> ReplySpec:
        """The spec with a summary in place of its oldest turns."""
        text, start = newest_summary(stored, self._ids)
        for _ in range(PIECES):
            turns = with_summary(self._spec.turns, text, start)
            seen = await self._prompting.look(self._model, turns, self._spec.settings)
            if not seen.dropped or tell is None or self._cancelled.is_set():
                break
            tell("summarising")
            text, start, more = await self._next(text, start)
            if not more:
                break
        return replace(self._spec, turns=with_summary(self._spec.turns, text, start))

    async def _next(self, text: str, start: int) -> tuple[str, int, bool]:
        """One more piece summed up: the summary, where it ends, and whether it came to be."""
        turns = with_summary(self._spec.turns, text, start)
        half = await self._prompting.look(self._model, turns, self._spec.settings, SHARE)
        moved = len(self._spec.turns) - len(turns)
        end = half.dropped[-1] + 1 + moved
        head = turns[: end - moved]
        ask = Turn("user", ASK)
        fitting = await self._prompting.front(self._model, head, ask, self._settings)
        end -= len(head) - fitting
        if end <= start:
            return text, start, False
        spec = replace(self._spec, turns=(*head[:fitting], ask), settings=self._settings, begun=None)
        written = await self._prompting.generate(spec, SilentSink(self._cancelled))
        if not written:
            return text, start, False
        await self._prompting.keep(self._spec.chat, self._ids[end - 1], written)
        return written, end, True


class SilentSink:
    """The sink of a reply that nobody watches; it ends with the reply that it is written for."""

    def __init__(self, cancelled: threading.Event) -> None:
        self.cancelled = cancelled
        self.answer_now = threading.Event()

    def moved(self, state: MessageState) -> None:
        """Not shown."""

    def text(self, part: Part, text: str) -> None:
        """The result has it."""

    def stats(self, stats: ReplyStats) -> None:
        """Not shown."""


def newest_summary(stored: dict[str, str], path: Sequence[str]) -> tuple[str, int]:
    """The summary that reaches furthest on this path, and how many of its messages it stands for."""
    for place in range(len(path) - 1, -1, -1):
        if path[place] in stored:
            return stored[path[place]], place + 1
    return "", 0


def with_summary(turns: tuple[Turn, ...], text: str, start: int) -> tuple[Turn, ...]:
    """The turns with a summary in place of those before `start`; leading system turns stay."""
    if not text:
        return turns
    head = min(leading_system(turns), start)
    return (*turns[:head], Turn("system", f"{HEADING}\n{text}"), *turns[start:])


def _ids(messages: Sequence[Message], places: Sequence[int]) -> tuple[str, ...]:
    return tuple(messages[place].id for place in places if place < len(messages))
