"""The servers that are known: named in the settings, or found on this machine's usual ports."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import Future

from msgspec.structs import replace

from engine.protocol.endpoints import EndpointInfo, ServerKind
from engine.protocol.errors import EngineError, ErrorInfo, fault
from engine.protocol.specs import ModelInfo
from engine.servers import saved as settings
from engine.servers.endpoint import Endpoint
from engine.servers.kinds import KINDS
from engine.servers.link import ASK, Link
from engine.servers.look import Seen, look
from engine.servers.thread import AskingThread

KNOCK = 0.25
"""Seconds that a port of this machine has to open."""
GLANCE = 2.0
"""Seconds that a server nobody named has to answer."""


class Known:
    """Servers with what they said last. `look` and `ask` run in the servers' thread."""

    def __init__(self) -> None:
        self.thread = AskingThread()
        self.discovers = os.environ.get("QWILL_FIND_SERVERS", "1") != "0"
        """Whether the usual ports are knocked at."""
        self._endpoints: dict[str, Endpoint] = {}
        self._seen: dict[str, Seen] = {}
        self._failed: dict[str, ErrorInfo] = {}
        self._links: dict[Endpoint, Link] = {}
        self.wrong: ErrorInfo | None = None
        """What is wrong with the settings, so that no named server is known."""

    # --- what is known ----------------------------------------------------------------------

    def infos(self) -> tuple[EndpointInfo, ...]:
        """Named ones first, as they were asked last."""
        endpoints = sorted(list(self._endpoints.values()), key=lambda each: not each.saved)
        return tuple(self.info(each) for each in endpoints)

    def info(self, endpoint: Endpoint) -> EndpointInfo:
        """One server, and what it said last."""
        seen, error = self._seen.get(endpoint.name), self._failed.get(endpoint.name)
        info = endpoint.info()
        if seen is not None and error is None:
            return replace(
                info,
                kind=seen.kind,
                version=seen.version,
                reachable=True,
                latency_ms=seen.latency_ms,
                models=tuple(model.id.removeprefix(f"{endpoint.name}/") for model in seen.models),
            )
        return replace(info, reachable=None if error is None else False, error=error)

    def saved(self) -> tuple[Endpoint, ...]:
        """Those of the settings."""
        return tuple(each for each in list(self._endpoints.values()) if each.saved)

    def models(self) -> tuple[ModelInfo, ...]:
        """Of all servers that answered last."""
        names = [each.name for each in list(self._endpoints.values())]
        return tuple(model for name in names if name in self._seen for model in self._seen[name].models)

    def named(self, name: str) -> Endpoint:
        """A server by name. Raises EngineError `endpoint_unknown`."""
        found = self._endpoints.get(name)
        if found is None:
            raise fault(
                "endpoint_unknown",
                f"There is no server called {name[:64]}",
                f"Known are: {', '.join(self._endpoints)}" if self._endpoints else "",
                "See `qwill endpoints list --refresh`",
            )
        return found

    def keeps(self, model: ModelInfo) -> bool:
        """False for a model whose server was taken out."""
        return model.runs_on != "server" or model.id.partition("/")[0] in self._endpoints

    def of(self, model: ModelInfo) -> Endpoint:
        """The server of a model. Raises EngineError `endpoint_unknown`."""
        return self.named(model.id.partition("/")[0])

    # --- asking -----------------------------------------------------------------------------

    def link(self, endpoint: Endpoint) -> Link:
        """The connection to a server. Used from the servers' loop alone."""
        if endpoint not in self._links:
            self._links[endpoint] = Link(endpoint)
        return self._links[endpoint]

    def ask(self, endpoint: Endpoint) -> Future[tuple[ModelInfo, ...]]:
        """Its models, asked now. The future fails with the EngineError that says why not."""
        return self.thread.run(self._ask(endpoint, ASK))

    def look(self) -> Future[tuple[ModelInfo, ...]]:
        """The models of all servers: the settings are read again, the usual ports are knocked at."""
        return self.thread.run(self._look())

    def may_have(self, ref: str) -> Future[bool]:
        """Whether this could be a model of a server that has not been asked since it was set."""
        return self.thread.run(self._may_have(ref))

    async def _may_have(self, ref: str) -> bool:
        name, _, model = ref.partition("/")
        if not model:
            return False
        self.reread()
        found = self._endpoints.get(name)
        if found is not None and ref not in {each.id for each in self.models()}:
            await self._ask(found, ASK)
        return found is not None

    async def _look(self) -> tuple[ModelInfo, ...]:
        self.reread()
        named = self.saved()
        found = self._find() if self.discovers else _nothing()
        await asyncio.gather(found, *(self._ask(each, ASK) for each in named), return_exceptions=True)
        return self.models()

    def reread(self) -> None:
        """Take the named servers from the settings; what is wrong with them is remembered."""
        try:
            named = settings.load()
            self.wrong = None
        except EngineError as error:
            self.wrong = error.info
            return
        kept = {name: each for name, each in self._endpoints.items() if not each.saved}
        taken = {each.url for each in named}
        old = self._endpoints
        fresh = {each.name: self._with_kind(each, old.get(each.name)) for each in named}
        self._endpoints = fresh | {
            name: each for name, each in kept.items() if name not in fresh and each.url not in taken
        }

    def _with_kind(self, endpoint: Endpoint, old: Endpoint | None) -> Endpoint:
        """What was found out about the same address is not forgotten."""
        if old is not None and old.url == endpoint.url and not endpoint.kind:
            return replace(endpoint, kind=old.kind)
        return endpoint

    async def _ask(self, endpoint: Endpoint, seconds: float) -> tuple[ModelInfo, ...]:
        try:
            seen = await look(self.link(endpoint), seconds=seconds)
        except EngineError as error:
            self._failed[endpoint.name] = error.info
            raise
        self._failed.pop(endpoint.name, None)
        self._seen[endpoint.name] = seen
        if endpoint.name in self._endpoints:
            self._endpoints[endpoint.name] = replace(self._endpoints[endpoint.name], kind=seen.kind)
        return seen.models

    # --- finding ----------------------------------------------------------------------------

    async def _find(self) -> None:
        ports = dict.fromkeys(port for kind in KINDS.values() for port in kind.ports)
        await asyncio.gather(*(self._knock(port) for port in ports))

    async def _knock(self, port: int) -> None:
        url = f"http://127.0.0.1:{port}/v1"
        if url in {each.url.replace("localhost", "127.0.0.1") for each in self.saved()}:
            return
        here = next((each for each in self._endpoints.values() if each.url == url), None)
        if not await _open(port):
            if here is not None:
                self._drop(here.name)
            return
        found = here or Endpoint(f"port-{port}", url)
        try:
            seen = await look(self.link(found), seconds=GLANCE)
        except EngineError as error:
            if here is not None:
                self._failed[here.name] = error.info
            return
        if here is None:
            found = replace(found, name=self._free_name(seen.kind, port), kind=seen.kind)
            models = tuple(_renamed(model, found.name) for model in seen.models)
            seen = replace(seen, models=models)
        self._endpoints[found.name], self._seen[found.name] = found, seen
        self._failed.pop(found.name, None)

    def _free_name(self, kind: ServerKind, port: int) -> str:
        name = kind if kind and kind != "other" else "server"
        return f"{name}-{port}" if name in self._endpoints else name

    def _drop(self, name: str) -> None:
        for table in (self._endpoints, self._seen, self._failed):
            table.pop(name, None)  # type: ignore[attr-defined]

    def forget(self, name: str) -> None:
        """What was known of a server that is gone, or was set anew."""
        self._drop(name)
        for endpoint in [each for each in self._links if each.name == name]:
            self.thread.run(self._links.pop(endpoint).close())


def _renamed(model: ModelInfo, name: str) -> ModelInfo:
    return replace(model, id=f"{name}/{model.id.partition('/')[2]}")


async def _open(port: int) -> bool:
    """Whether somebody listens there; httpx2 is imported only when somebody does."""
    try:
        async with asyncio.timeout(KNOCK):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:  # TimeoutError is one
        return False
    writer.close()
    return True


async def _nothing() -> None:
    """Nothing is looked for."""
