"""What can be asked of the endpoint: models, chat completions, completions, health."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aiohttp import web

from engine.protocol.errors import EngineError
from engine.serving.answers import DONE, WAITING, Answer, Row, event, model_row
from engine.serving.asking import Asking, Job
from engine.serving.bodies import ChatBody, CompletionBody, read
from engine.serving.door import body_of
from engine.serving.faults import told
from engine.serving.names import Served, find
from engine.serving.request import Asked, chat_of, completion_of

FLUSH_SECONDS = 1 / 30
"""Between two writes of a stream."""
QUIET_SECONDS = 10.0
"""Of silence after which a stream says that it is alive."""
STALLED_SECONDS = 60.0
"""In which a client takes what is written, or its request ends."""


class Routes:
    """Handlers of requests that have come through the door."""

    def __init__(
        self,
        asking: Asking,
        known: Callable[[], list[Served]],
        default: Callable[[], str],
        answered: Callable[[], None],
    ) -> None:
        """`known`: what is served now; `default`: the model of requests that name none; `answered` is told
        of each request that came to an end."""
        self._asking = asking
        self._known = known
        self._default = default
        self._answered = answered
        self._started = time.time()

    def all(self) -> list[web.RouteDef]:
        """Address by address."""
        return [
            web.get("/health", self._health),
            web.get("/v1/models", self._models),
            web.get("/v1/models/{id:.+}", self._model),
            web.post("/v1/chat/completions", self._chat),
            web.post("/v1/completions", self._completion),
        ]

    async def _health(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ok"})

    async def _models(self, _: web.Request) -> web.StreamResponse:
        rows = [model_row(each, self._started) for each in self._known()]
        return web.json_response({"object": "list", "data": rows})

    async def _model(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(model_row(find(request.match_info["id"], self._known()), self._started))

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, await chat_of(read(await body_of(request), ChatBody)))

    async def _completion(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, completion_of(read(await body_of(request), CompletionBody)))

    async def _answer(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        served = find(asked.model or self._default(), self._known())
        job = self._asking.begin(asked, served)
        answer = Answer(served, bare=asked.bare, usage=asked.usage)
        try:
            if asked.stream:
                return await self._stream(request, job, answer)
            result = await asyncio.shield(job.task)
            pieces, _ = job.reply.take()
            texts = {"answer": "", "thinking": ""}
            for piece in pieces:
                if isinstance(piece, tuple):
                    texts[piece[0]] += piece[1]
            return web.json_response(answer.whole(texts["answer"], texts["thinking"], result))
        finally:
            if not job.task.done():  # the client left
                job.stop()
            self._answered()

    async def _stream(self, request: web.Request, job: Job, answer: Answer) -> web.StreamResponse:
        """What comes, as it comes. A fault before the first word is an answer of its own, not a stream."""
        stream = _Stream(request)
        while not job.task.done():
            changed = asyncio.create_task(job.reply.changed.wait())
            await asyncio.wait(
                {job.task, changed}, timeout=QUIET_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            said = changed.done()
            changed.cancel()
            if said:
                await stream.say(_rows(job, answer, first=not stream.begun))
                await asyncio.sleep(FLUSH_SECONDS)
            elif not job.task.done():
                await stream.wait()
        try:
            result = job.task.result()
        except EngineError as error:
            if not stream.open:
                raise
            await stream.write(event(told(error.info)[1]))
            return await stream.end()
        await stream.say([*_rows(job, answer, first=not stream.begun), *answer.last(result)])
        await stream.write(DONE)
        return await stream.end()


def _rows(job: Job, answer: Answer, *, first: bool) -> list[Row]:
    """The chunks for what came since the last time; none while nothing was said."""
    pieces, _ = job.reply.take()
    rows = [answer.piece(*piece) for piece in pieces if isinstance(piece, tuple)]
    return [*answer.first(), *rows] if first and (rows or job.task.done()) else rows


class _Stream:
    """Server-sent events; the head goes out with the first of them."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
        )
        self.begun = False
        """Whether a chunk was sent."""

    @property
    def open(self) -> bool:
        """Whether the head is out: a fault comes as a chunk from then on."""
        return self._response.prepared

    async def say(self, rows: list[Row]) -> None:
        """Chunks, maybe none."""
        if rows:
            self.begun = True
            await self.write(b"".join(map(event, rows)))

    async def wait(self) -> None:
        """Nothing to say yet."""
        await self.write(WAITING)

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError or TimeoutError when nobody takes it."""
        async with asyncio.timeout(STALLED_SECONDS):
            if not self._response.prepared:
                await self._response.prepare(self._request)
            await self._response.write(data)

    async def end(self) -> web.StreamResponse:
        """Nothing more comes."""
        await self._response.write_eof()
        return self._response
