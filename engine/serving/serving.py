"""The endpoint's life: started and stopped by command, off by default, told to every client."""

from __future__ import annotations

import asyncio
import importlib
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from engine.bus import Bus
from engine.protocol.errors import EngineError, fault
from engine.protocol.events import ServingChanged
from engine.protocol.serve import ServingInfo, ServingState, ShowServing, StartServing, StopServing
from engine.protocol.specs import ModelInfo
from engine.replies import Replies
from engine.runs.adapters import Adapters
from engine.serving import token as tokens
from engine.serving.asking import Asking, Noted
from engine.serving.names import served
from engine.shelf import Shelf

if TYPE_CHECKING:
    from engine.serving.door import Door

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]{1,253}")


class Serving:
    """At most one endpoint. Used from the loop's thread; aiohttp is imported when it is started."""

    def __init__(
        self,
        bus: Bus,
        shelf: Shelf,
        replies: Replies,
        adapters: Adapters,
        default_model: Callable[[], str],
        noted: Noted,
    ) -> None:
        self._bus = bus
        self._shelf = shelf
        self._adapters = adapters
        self._default_model = default_model
        self._asking = Asking(shelf, replies, adapters, noted)
        self._door: Door | None = None
        self._guard: tokens.Guard | None = None
        self._info: ServingInfo | None = None
        self._starting = asyncio.Lock()

    @property
    def busy(self) -> bool:
        """Whether a request waits or is answered."""
        return self._asking.active > 0

    def info(self) -> ServingInfo | None:
        """The endpoint as it stands; None when there is none."""
        return self._info and replace(self._info, active=self._asking.active)

    async def start(self, command: StartServing) -> ServingInfo:
        """Open the endpoint.

        Raises EngineError `already_serving`, `port_taken`, `model_not_found`, `not_served`, `token_unkept`,
        `usage`, `serving_missing`.
        """
        token = tokens.checked(command.token) if command.token else tokens.stored_token()
        origins = tuple(_origin(each) for each in command.origins)
        model = await self._model(command)
        async with self._starting:
            return await self._started(command, token, origins, model.id)

    async def _started(
        self, command: StartServing, token: str, origins: tuple[str, ...], model: str
    ) -> ServingInfo:
        if self._info is not None and self._guard is not None:
            same = command.port in (0, self._info.port) and origins in ((), self._info.origins)
            if not same or not (self._guard.same(token) or not command.token):
                raise _already(self._info)
            self._tell(replace(self._info, model=model if command.model else self._info.model))
            return self._info
        await self._adapters.refresh()
        door = await self._make_door(token, origins)
        port = await door.open(command.port)
        self._door, self._guard = door, tokens.Guard(token)
        info = ServingInfo(
            f"http://127.0.0.1:{port}/v1",
            port,
            model,
            time.time(),
            token="given" if command.token else "stored",
            token_file="" if command.token else str(tokens.token_path()),
            origins=origins,
        )
        self._tell(info)
        return info

    async def stop(self, _: StopServing) -> ServingState:
        """Close it; answers what there was."""
        was = ServingState(self.info())
        await self.close()
        if was.serving is not None:
            self._bus.publish(ServingChanged(None))
        return was

    async def show(self, _: ShowServing) -> ServingState:
        return ServingState(self.info())

    async def close(self) -> None:
        """End requests and connections."""
        door, self._door, self._info, self._guard = self._door, None, None, None
        await self._asking.close()
        if door is not None:
            await door.close()
            await self._asking.forget()

    # --- inside -----------------------------------------------------------------------------

    async def _model(self, command: StartServing) -> ModelInfo:
        """What answers requests that name no model."""
        model = await self._shelf.find(command.model or self._default_model())
        if model.runs_on == "server":
            raise fault(
                "not_served",
                f"{model.name} is answered by a server already, at {model.path}",
                remedy="Name a model of this machine with -m",
            )
        return model

    async def _make_door(self, token: str, origins: tuple[str, ...]) -> Door:
        try:
            for name in ("door", "routes"):  # aiohttp takes a while, and the loop has other clients
                await asyncio.to_thread(importlib.import_module, f"engine.serving.{name}")
            from engine.serving.door import Door
            from engine.serving.routes import Routes
        except ImportError as error:
            raise fault(
                "serving_missing",
                "Serving needs aiohttp, which is not installed",
                str(error),
                "Install it with `pip install aiohttp`, then restart the engine (`qwill engine stop`)",
            ) from error
        routes = Routes(
            self._asking,
            lambda: served(self._shelf.infos(), self._adapters.infos()),
            lambda: self._info.model if self._info else "",
            self._answered,
        )
        return Door(token, origins, routes.all())

    def _answered(self) -> None:
        if self._info is not None:
            self._tell(replace(self._info, requests=self._info.requests + 1))

    def _tell(self, info: ServingInfo) -> None:
        self._info = info
        self._bus.publish(ServingChanged(self.info()))


def _origin(text: str) -> str:
    origin = text.rstrip("/")
    if not _ORIGIN.fullmatch(origin):
        raise fault(
            "usage",
            f"{text[:100]} is no origin of a web page",
            remedy="Write it as the browser does: http://localhost:3000",
        )
    return origin


def _already(info: ServingInfo) -> EngineError:
    return fault(
        "already_serving",
        f"Serving already, at {info.address}, with another port, token or origin",
        remedy="Stop it first with `qwill serve --stop`",
    )
