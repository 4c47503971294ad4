"""Answers the commands that name servers: list, add, remove and check them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from engine.lanes import Lane
from engine.protocol.endpoints import (
    AddEndpoint,
    CheckEndpoint,
    EndpointInfo,
    EndpointList,
    ListEndpoints,
    RemoveEndpoint,
)
from engine.protocol.errors import EngineError, fault
from engine.servers import saved
from engine.servers.endpoint import TIMEOUT, Endpoint, checked
from engine.servers.known import Known


class Naming:
    """Used from the loop's thread; files are written in the disk lane."""

    def __init__(self, known: Known, disk: Lane, tell: Callable[[], Awaitable[object]]) -> None:
        """`tell` publishes the models after the list of servers changed."""
        self._known = known
        self._disk = disk
        self._tell = tell
        self._removed: dict[str, tuple[Endpoint, str]] = {}
        """Servers taken out since the engine began, with the keys that were kept for them."""

    async def listing(self, command: ListEndpoints) -> EndpointList:
        """All servers. Raises EngineError `settings_wrong` where the settings cannot be read."""
        if command.refresh:
            await self._tell()
        await self._disk.run(self._known.reread)
        if self._known.wrong is not None:
            raise EngineError(self._known.wrong)
        return EndpointList(self._known.infos())

    async def add(self, command: AddEndpoint) -> EndpointInfo:
        """Save it, then ask it; what it answers is in the result.

        Raises EngineError `endpoint_wrong`, `settings_unsaved`.
        """
        endpoint = checked(
            Endpoint(
                command.name,
                command.url,
                command.key,
                command.key_env,
                command.key_file,
                command.kind,
                TIMEOUT if command.timeout is None else command.timeout,
                command.models,
                saved=True,
            )
        )
        await self._disk.run(saved.save, await self._with_old_key(replace(endpoint, key="")), command.key)
        self._removed.pop(command.name, None)
        return await self._anew(command.name)

    async def _with_old_key(self, endpoint: Endpoint) -> Endpoint:
        """Keep the key that the server of this name has, but never send it to another address."""
        await self._disk.run(self._known.reread)
        old = next((each for each in self._known.saved() if each.name == endpoint.name), None)
        if old is None or old.url != endpoint.url or endpoint.key_env or endpoint.key_file:
            return endpoint
        return replace(endpoint, key=old.key, key_env=old.key_env, key_file=old.key_file)

    async def remove(self, command: RemoveEndpoint) -> EndpointInfo:
        """Take it out of the settings, or put it back. Raises EngineError `endpoint_unknown`."""
        if command.restore:
            return await self._restore(command.name)
        await self._disk.run(self._known.reread)
        endpoint = self._known.named(command.name)
        if not endpoint.saved:
            raise fault(
                "endpoint_found",
                f"{endpoint.name} is not in the settings: it was found on this machine",
                remedy="It is gone from the list once it does not run any more",
            )
        self._removed[endpoint.name] = (endpoint, await self._disk.run(_kept_key, endpoint))
        await self._disk.run(saved.remove, endpoint)
        self._known.forget(endpoint.name)
        await self._tell()
        return endpoint.info()

    async def check(self, command: CheckEndpoint) -> EndpointInfo:
        """What it says now. Raises EngineError `endpoint_unknown`."""
        await self._disk.run(self._known.reread)
        endpoint = self._known.named(command.name)
        return await self._ask(endpoint)

    async def _restore(self, name: str) -> EndpointInfo:
        if name not in self._removed:
            raise fault(
                "endpoint_unknown",
                f"No server called {name[:64]} was removed since the engine started",
                remedy="Add it again with `qwill endpoints add`",
            )
        endpoint, key = self._removed[name]
        await self._disk.run(saved.save, endpoint, key)
        del self._removed[name]
        return await self._anew(name)

    async def _anew(self, name: str) -> EndpointInfo:
        """Ask a server that was set just now, and tell of its models."""
        self._known.forget(name)
        await self._disk.run(self._known.reread)
        info = await self._ask(self._known.named(name))
        await self._tell()
        return info

    async def _ask(self, endpoint: Endpoint) -> EndpointInfo:
        try:
            await asyncio.wrap_future(self._known.ask(endpoint))
        except EngineError as error:
            return replace(self._known.info(endpoint), reachable=False, error=error.info)
        return self._known.info(self._known.named(endpoint.name))


def _kept_key(endpoint: Endpoint) -> str:
    """The key in a file of ours, which goes with the server; empty for one that lies elsewhere."""
    if endpoint.key_file != f"{saved.KEYS}/{endpoint.name}":
        return ""
    try:
        return endpoint.secret()
    except EngineError:
        return ""
