"""Requests on their way: each waits for its turn beside the chat's replies, and ends with its client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from engine.backend import ReplyResult, ReplySpec
from engine.chatbook import new_id
from engine.live import LiveReply
from engine.protocol.errors import fault
from engine.protocol.specs import Message, ModelInfo, Part, ReplyStats
from engine.replies import Replies
from engine.reply_forms import refuse_blind
from engine.runs.adapters import Adapters
from engine.serving.faults import Refused
from engine.serving.names import Served
from engine.serving.request import Asked
from engine.serving.slots import Slots
from engine.serving.stopping import StopWatch
from engine.shelf import Shelf

WAITING = 32
"""Requests that wait or are answered at most."""
Noted = Callable[[ModelInfo, ReplyStats], None]


class ServedReply(LiveReply):
    """A growing reply that no chat holds; its answer ends before a stop string."""

    def __init__(self, name: str, stops: tuple[str, ...], *, bare: bool) -> None:
        """`bare`: the reply continues a text, so that its first line breaks belong to it."""
        super().__init__(Message(new_id(), "", "assistant", model=name))
        self.watch = StopWatch(stops)
        self._begun: set[Part] = {"answer", "thinking"} if bare else set()

    def text(self, part: Part, text: str) -> None:
        """Called from the model thread. Line breaks around the thinking tags are no part of what is said."""
        if part == "answer":
            text = self.watch.feed(text)
            if self.watch.hit:
                self.cancelled.set()
        self._say(part, text)

    def release(self) -> None:
        """The model is done: what was held back for the sake of a stop string comes out."""
        rest = self.watch.flush()
        self._say("answer", rest)

    def _say(self, part: Part, text: str) -> None:
        if part not in self._begun:
            text = text.lstrip("\n")
        if text:
            self._begun.add(part)
            super().text(part, text)


class Job:
    """One request; `task` resolves with the result once all text is in `reply`."""

    def __init__(self, asked: Asked, served: Served) -> None:
        self.asked = asked
        self.served = served
        self.reply = ServedReply(served.id, asked.stops, bare=asked.bare)
        self.task: asyncio.Task[ReplyResult]
        self.computing = False

    def stop(self) -> None:
        """Nobody waits for the answer any more."""
        self.reply.stop()
        if not self.computing:
            self.task.cancel()


class Asking:
    """Starts requests. Used from the loop's thread."""

    def __init__(self, shelf: Shelf, replies: Replies, adapters: Adapters, noted: Noted) -> None:
        self._shelf = shelf
        self._replies = replies
        self._adapters = adapters
        self._noted = noted
        self._slots = Slots()
        self._jobs: set[Job] = set()

    @property
    def active(self) -> int:
        """Requests that wait or are answered."""
        return len(self._jobs)

    def begin(self, asked: Asked, served: Served) -> Job:
        """Let a request wait for its turn. Raises Refused when too many do, EngineError `no_vision`."""
        if len(self._jobs) >= WAITING:
            raise Refused(429, "too_many_requests", f"{WAITING} requests wait already; try again later.")
        if asked.bare and served.model.chat:
            words = f"{served.id} is a chat model; use /v1/chat/completions."
            raise Refused(400, "unsupported_model", words, param="model")
        if any(turn.images for turn in asked.turns):
            refuse_blind(served.model)
        job = Job(asked, served)
        self._jobs.add(job)
        job.task = asyncio.create_task(self._run(job))
        job.task.add_done_callback(lambda done: self._over(job, done))
        return job

    async def close(self) -> None:
        """End all requests with what they have."""
        jobs = list(self._jobs)
        for job in jobs:
            job.stop()
        if jobs:
            await asyncio.wait({job.task for job in jobs}, timeout=3.0)

    async def forget(self) -> None:
        """Drop the caches of all conversations."""
        names, self._slots = self._slots.names(), Slots()
        for model in self._shelf.infos():
            if names and model.state == "ready" and model.runs_on == "torch":
                desk = await self._shelf.answering.desk(model)
                for name in names:
                    await desk.lane.run(desk.answerer.forget, name)
                return

    def _over(self, job: Job, done: asyncio.Task[ReplyResult]) -> None:
        self._jobs.discard(job)
        if not done.cancelled():
            done.exception()  # looked at, though nobody may wait for it any more

    async def _run(self, job: Job) -> ReplyResult:
        model = job.served.model
        async with self._replies.turn(model.id):
            with self._shelf.alive.use(model.id):
                result = await self._answer(job)
        self._noted(self._shelf.known(model.id) or model, replace(result.stats, memory=result.memory))
        if job.reply.stopped.is_set():
            raise fault("serving_ended", "The reply was stopped", retryable=True)
        return result

    async def _answer(self, job: Job) -> ReplyResult:
        model = await self._shelf.ready(job.served.model.id)
        settings, adapter = job.asked.settings, job.served.adapter
        if adapter is not None:
            adapter = await self._adapters.resolve(adapter.id, model)
            settings = replace(settings, adapter=adapter.id)
        spec = ReplySpec(model.id, "", job.asked.turns, settings, adapter)
        spec = replace(spec, chat=self._slots.take(spec))
        desk = await self._shelf.answering.desk(model)
        job.computing = True
        result = await desk.lane.run(desk.answerer.reply, spec, job.reply)
        self._slots.keep(spec.chat, spec, result.text)
        job.reply.release()
        await self._shelf.replied(model.id, result.peak, result.stats.context_used)
        return replace(result, finish="stop") if job.reply.watch.hit else result
