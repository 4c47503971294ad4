"""The answerer of models that servers compute; see engine.answering.Answerer. Needs no torch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, TimeoutError  # noqa: A004
from typing import TypeVar

from msgspec.structs import replace

from engine.backend import InspectSpec, LoadSpec, ReplyResult, ReplySink, ReplySpec
from engine.protocol.errors import EngineError, fault
from engine.protocol.inspect import Inspection
from engine.protocol.specs import ModelInfo
from engine.servers.asking import Asking, Memory
from engine.servers.counting import Guesses
from engine.servers.kinds import kind_of
from engine.servers.known import Known

T = TypeVar("T")
POLL = 0.05
COUNT = 2.0
"""Seconds that a server has to count a text."""


class ServerBackend:
    """Asks servers. Each method runs in the lane of its server, the counter in the counting thread."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._models: dict[str, ModelInfo] = {}
        self._memories: dict[str, Memory] = {}
        self.counter = Guesses(self._exact)

    def load(
        self, spec: LoadSpec, progress: Callable[[float, str], None], cancelled: threading.Event
    ) -> ModelInfo:
        """Ask its server for the model; nothing is loaded here.

        Raises EngineError `not_here`, `server_model_gone`, `cancelled`, and what a server can fail with.
        """
        model = spec.model
        if spec.quant or spec.dtype:
            raise _not_here(model, "loaded in another form", "Its server decides how the weights are held")
        progress(0.5, "asking the server")
        endpoint = self._known.of(model)
        seen = self._wait(self._known.ask(endpoint), cancelled)
        found = next((each for each in seen if each.id == model.id), None)
        if found is None:
            raise fault(
                "server_model_gone",
                f"{endpoint.name} has no model called {model.name} any more",
                remedy=f"See what it has: `qwill endpoints check {endpoint.name}`, then choose another (F2)",
            )
        ready = replace(found, state="ready", device=endpoint.place)
        self._models[model.id] = ready
        return ready

    def unload(self, model: str) -> None:
        """Forget it; the server keeps or drops it as it likes."""
        self._models.pop(model, None)

    def reply(self, spec: ReplySpec, sink: ReplySink) -> ReplyResult:
        """Ask for one reply. Raises EngineError with the server's reason; what came until then is kept."""
        info = self._models.get(spec.model)
        if info is None:
            raise fault("model_not_loaded", "The model is not loaded", remedy="Load it, then ask again")
        memory = self._memories.setdefault(info.path, Memory())
        endpoint = self._known.of(info)

        async def ask() -> ReplyResult:
            link = self._known.link(endpoint)
            return await Asking(link, info, spec, sink, self.counter, memory).run()

        return self._known.thread.run(ask()).result()

    def inspect(self, spec: InspectSpec, cancelled: threading.Event) -> Inspection:
        """Raises EngineError `not_here`: servers do not tell what they thought likely."""
        model = self._models.get(spec.reply.model)
        raise _not_here(
            model, "looked into word by word", "What was likely at each word is known only to models of Qwill"
        )

    def forget(self, chat: str) -> None:
        """Servers keep their own caches."""

    def allocated(self) -> int:
        """Nothing is held here."""
        return 0

    def _wait(self, future: Future[T], cancelled: threading.Event) -> T:
        while True:
            try:
                return future.result(POLL)
            except TimeoutError:
                if future.done():
                    raise
                if cancelled.is_set():
                    future.cancel()
                    raise fault("cancelled", "The load was cancelled") from None

    def _exact(self, model: ModelInfo, text: str) -> int | None:
        try:
            endpoint = self._known.of(model)
            if not kind_of(endpoint.kind).tokenizes:
                return None
            name = model.id.removeprefix(f"{endpoint.name}/")
            body = {"content": text} if endpoint.kind == "llama.cpp" else {"model": name, "prompt": text}

            async def ask() -> int | None:
                link = self._known.link(endpoint)
                answer = await link.post(f"{endpoint.root}/tokenize", body, seconds=COUNT)
                tokens = answer.get("tokens") if isinstance(answer, dict) else None
                return len(tokens) if isinstance(tokens, list) else None

            return self._known.thread.run(ask()).result(2 * COUNT)
        except (EngineError, TimeoutError):
            return None


def _not_here(model: ModelInfo | None, what: str, why: str) -> EngineError:
    name = model.name if model is not None else "A model of a server"
    return fault("not_here", f"{name} cannot be {what}", why, "Use a model of this machine for that (F2)")
