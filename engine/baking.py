"""Bakes a system prompt: replies under it become rows without it, to train an adapter on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec.structs import replace

from engine.batches import Batches
from engine.bus import Bus
from engine.chatbook import Chatbook, new_id
from engine.data import own
from engine.protocol import batch as b
from engine.protocol.bake import Baked, StartBake, StopBake
from engine.protocol.command import Done
from engine.protocol.data import QAPair
from engine.protocol.errors import fault
from engine.protocol.events import BakeMoved
from engine.protocol.specs import ChatSettings, WeightedAdapter
from engine.shelf import Shelf
from engine.store.store import Store

QUESTIONS = Path(__file__).parent / "data" / "shipped_texts" / "questions.txt"
LONGEST = 600
"""Characters of an own question at most: what is longer is a text to work on rather than a question."""
LEAST = 2
"""Replies that a run needs: one to learn from, one to be tested on."""


class Baking:
    """Answers the commands. Used from the loop's thread."""

    def __init__(self, bus: Bus, book: Chatbook, shelf: Shelf, batches: Batches) -> None:
        self._bus = bus
        self._book = book
        self._shelf = shelf
        self._batches = batches
        self._under_way: dict[str, threading.Event] = {}
        """Set to stop the one of this name."""

    @property
    def busy(self) -> bool:
        """Whether replies are sampled."""
        return bool(self._under_way)

    async def stop(self, command: StopBake) -> Done:
        """Raises EngineError `bake_ended`."""
        stopping = self._under_way.get(command.job)
        if stopping is None:
            raise fault("bake_ended", "This has ended already")
        stopping.set()
        return Done()

    async def start(self, command: StartBake) -> Baked:
        """Sample and write. Raises EngineError `no_system_prompt`, `bake_empty`, `cancelled`."""
        job = command.job or new_id()
        if job in self._under_way:
            raise fault("bake_runs", "One of this name is under way already")
        stopping = self._under_way[job] = threading.Event()
        try:
            return await self._baked(command, job, stopping)
        finally:
            self._under_way.pop(job, None)

    async def _baked(self, command: StartBake, job: str, stopping: threading.Event) -> Baked:
        settings, wanted = await self._asked(command)
        model = await self._shelf.ready(wanted, evict=command.evict)
        if not model.chat:
            raise fault("no_template", f"{model.name} has no chat template, so it has no system prompt")
        questions = await self._questions(settings.system, min(max(LEAST, command.count), b.ROWS))
        pairs: list[QAPair] = []
        answers = await self._replies(model.id, questions, settings, job, stopping)
        for answer in sorted(answers, key=lambda each: each.place):
            if answer.error is None and answer.finish == "stop" and answer.text.strip():
                pairs.append(QAPair(questions[answer.place], answer.text.strip()))
        if stopping.is_set():
            raise fault("cancelled", "Stopped; no dataset was written")
        if len(pairs) < LEAST:
            raise fault(
                "bake_empty",
                f"Only {len(pairs)} of {len(questions)} replies came to an end, too few to learn from",
                f"A reply has at most {command.tokens} tokens here",
                "Ask for shorter answers in the system prompt, or choose another model",
            )
        name = command.name or _named(settings.system)
        saved = await asyncio.to_thread(own.save, name, pairs)
        return Baked(job, model.id, saved.path, name, len(pairs), len(questions) - len(pairs))

    async def _asked(self, command: StartBake) -> tuple[ChatSettings, str]:
        """(how replies are sampled, by which model): the chat's own, unless something else is said."""
        settings, model = ChatSettings(), command.model
        if command.chat:
            info = await self._book.chat(command.chat)
            settings, model = info.settings, model or info.model
        settings = ChatSettings(
            system=command.system or settings.system,
            think=False,
            sampling=replace(settings.sampling, max_tokens=command.tokens),
        ).with_adapters(*settings.adapters)
        if not settings.system.strip():
            raise fault(
                "no_system_prompt",
                "There is no system prompt to bake",
                "The adapter learns to answer as a system prompt asks, without it",
                "Set one with /system TEXT, or give --system TEXT",
            )
        if not model:
            raise fault("usage", "No model is named", remedy="Name one with --model")
        return settings, model

    async def _questions(self, system: str, count: int) -> list[str]:
        """Own ones first, the newest before the older ones; each once."""
        mine = await self._book.ask(None, Store.questions, count, LONGEST)
        general = await asyncio.to_thread(QUESTIONS.read_text, "utf-8")
        found = list(_distinct([*mine, *general.splitlines()]))[:count]
        return [question for question in found if question != system]

    async def _replies(
        self,
        model: str,
        questions: Sequence[str],
        settings: ChatSettings,
        job: str,
        stopping: threading.Event,
    ) -> list[b.RowAnswer]:
        adapters: tuple[WeightedAdapter, ...] = settings.adapters
        rows = tuple(b.Row((b.RowTurn("user", text),), settings) for text in questions)
        done = 0

        def moved(more: int) -> None:
            nonlocal done
            done += more
            self._bus.publish(BakeMoved(job, done, len(rows)))

        moved(0)
        return await self._batches.answered(b.StartBatch(model, rows, adapters), stopping, moved)


def _distinct(texts: Iterable[str]) -> Iterable[str]:
    seen: set[str] = set()
    for text in texts:
        plain = " ".join(text.casefold().split())
        if plain and plain not in seen:
            seen.add(plain)
            yield text.strip()


def _named(system: str) -> str:
    """A dataset's name by the first words of the prompt."""
    words = "".join(c if c.isalnum() else " " for c in system.casefold()).split()
    return "-".join(["baked", *words[:4]])
