"""Who answers for a model, and in which lane: torch, llama.cpp, ONNX Runtime, or a server."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeGuard

from engine.backend import Backend, InspectSpec, LoadSpec, ReplyResult, ReplySink, ReplySpec
from engine.counting import Counter
from engine.lanes import Lane
from engine.protocol.errors import EngineError, fault
from engine.protocol.inspect import Inspection
from engine.protocol.specs import ModelInfo
from engine.servers.known import Known

LLAMA = "engine.llama.backend"
ONNX = "engine.workers.onnx.backend"


class Answerer(Protocol):
    """What a model is asked through: engine.backend.Backend without training. Used in its own lane.

    Raises EngineError for every foreseeable fault.
    """

    @property
    def counter(self) -> Counter:
        """Its methods run in the counting thread."""
        ...

    def load(
        self, spec: LoadSpec, progress: Callable[[float, str], None], cancelled: threading.Event
    ) -> ModelInfo:
        """Make a model ready; see Backend.load."""
        ...

    def unload(self, model: str) -> None:
        """Let go of a model; unknown ids are ignored."""
        ...

    def reply(self, spec: ReplySpec, sink: ReplySink) -> ReplyResult:
        """Generate one reply, streaming into the sink. A stop or a full context still returns a result."""
        ...

    def inspect(self, spec: InspectSpec, cancelled: threading.Event) -> Inspection:
        """Probabilities of a reply's tokens. Raises EngineError `no_inspection` where there are none."""
        ...

    def forget(self, chat: str) -> None:
        """Drop what is cached of a chat."""
        ...

    def allocated(self) -> int:
        """Bytes of weights and caches held in this process."""
        ...


class OwnProcesses(Answerer, Protocol):
    """An answerer whose models live in processes that must not outlive it."""

    def close(self) -> None:
        """End them."""
        ...


class Desk(NamedTuple):
    """Who answers, and the lane that its methods run in."""

    answerer: Answerer
    lane: Lane


class Answering:
    """Finds the desk for a model. Used from the loop's thread."""

    def __init__(self, torch: asyncio.Future[Backend], model_lane: Lane, known: Known) -> None:
        """`torch` resolves once torch is imported, or fails with the reason; only its models wait for it."""
        self._known = known
        self._torch = torch
        self._model_lane = model_lane
        self._llama_lane: Lane | None = None
        self._llama: asyncio.Future[OwnProcesses] | None = None
        self._onnx: asyncio.Future[Answerer] | None = None
        self._servers: Answerer | None = None
        self._server_lanes: dict[str, Lane] = {}

    async def desk(self, model: ModelInfo) -> Desk:
        """Who answers for this model. Raises EngineError when that part of Qwill is not there."""
        if model.runs_on == "server":
            return Desk(self.servers(), self._lane_of(queue_of(model)))
        if model.runs_on == "llama.cpp":
            return await self._llama_desk()
        if model.runs_on == "onnx":
            return await self._onnx_desk()
        # Shielded: who waits for torch may be cancelled, torch not.
        return Desk(await asyncio.shield(self._torch), self._model_lane)

    async def counter(self, model: ModelInfo) -> Counter:
        """Who counts for this model."""
        return (await self.desk(model)).answerer.counter

    def servers(self) -> Answerer:
        """Who asks servers; needs neither torch nor the network."""
        if self._servers is None:
            from engine.servers.backend import ServerBackend  # waits until a server is asked

            self._servers = ServerBackend(self._known)
        return self._servers

    def close(self) -> None:
        """End the lanes that were begun here."""
        if self._llama_lane is not None and _has_result(self._llama):
            self._llama_lane.run(self._llama.result().close)
        for lane in (self._llama_lane, *self._server_lanes.values()):
            if lane is not None:
                lane.close()
        self._known.thread.close()

    async def _llama_desk(self) -> Desk:
        if self._llama_lane is None:
            self._llama_lane = Lane("llama")
        if self._llama is None:
            self._llama = self._llama_lane.run(_llama_backend)
        try:
            # Shielded: a stopped reply must not cancel the import that others wait for.
            return Desk(await asyncio.shield(self._llama), self._llama_lane)
        except EngineError:
            self._llama = None  # what was missing may be there next time
            raise

    async def _onnx_desk(self) -> Desk:
        """In torch's lane, since both want all of the processor."""
        await asyncio.shield(self._torch)
        if self._onnx is None:
            self._onnx = self._model_lane.run(_onnx_backend)
        try:
            return Desk(await asyncio.shield(self._onnx), self._model_lane)
        except EngineError:
            self._onnx = None  # what was missing may be there next time
            raise

    def _lane_of(self, queue: str) -> Lane:
        """One a server, so that one that hangs holds up nobody else."""
        if queue not in self._server_lanes:
            self._server_lanes[queue] = Lane("server")
        return self._server_lanes[queue]


def queue_of(model: ModelInfo) -> str:
    """Replies of one queue are written one after another: one for this machine, one a server."""
    return model.path if model.runs_on == "server" else ""


def _has_result(future: asyncio.Future[OwnProcesses] | None) -> TypeGuard[asyncio.Future[OwnProcesses]]:
    return future is not None and future.done() and not future.cancelled() and future.exception() is None


def _onnx_backend() -> Answerer:
    try:
        backend: Answerer = importlib.import_module(ONNX).OnnxBackend()
    except ImportError as error:
        raise fault(
            "onnx_missing",
            "ONNX models need ONNX Runtime, which is not installed",
            str(error),
            "Install it with `pip install 'qwill[onnx]'`, then restart the engine (`qwill engine stop`)",
        ) from error
    return backend


def _llama_backend() -> OwnProcesses:
    try:
        backend: OwnProcesses = importlib.import_module(LLAMA).LlamaBackend()
    except ImportError as error:
        raise fault(
            "llama_missing",
            "GGUF files need llama.cpp, which is not installed",
            str(error),
            "Install it with `pip install 'qwill[gguf]'`, then restart the engine (`qwill engine stop`)",
        ) from error
    return backend
