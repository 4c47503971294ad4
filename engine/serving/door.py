"""The door to other programs: 127.0.0.1 only, for those who show the token, and for no web page by itself."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from engine.protocol.errors import EngineError, fault
from engine.serving.faults import Refused, shape, told
from engine.serving.token import Guard

log = logging.getLogger(__name__)
ADDRESS = "127.0.0.1"
NAMES = frozenset({ADDRESS, "localhost"})
"""Hosts that a request may be meant for; a page that has its own name point here (DNS rebinding) has that."""
BODY_LIMIT = 24 << 20
"""Bytes of a request's body at most."""
HEAD_SECONDS = 15.0
"""In which a connection has sent a request's whole head, or is closed."""
BODY_SECONDS = 30.0
"""In which the body of a request has come, or it is refused."""
CONNECTIONS = 64
CALM = logging.getLogger("engine.serving.aiohttp")
"""aiohttp's own words may quote a request's head, and with it the token."""
CALM.setLevel(logging.CRITICAL + 1)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Door:
    """Listens, and lets in who may come."""

    def __init__(self, token: str, origins: tuple[str, ...], routes: list[web.RouteDef]) -> None:
        self._guard = Guard(token)
        self._origins = frozenset(origins)
        self._app = web.Application(client_max_size=BODY_LIMIT, middlewares=[self._pass])
        self._app.add_routes(routes)
        self._app.on_response_prepare.append(self._allow)
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None

    async def open(self, port: int) -> int:
        """Listen; returns the port. Raises EngineError `port_taken`."""
        self._runner = web.AppRunner(
            self._app,
            access_log=None,
            logger=CALM,
            handler_cancellation=True,
            keepalive_timeout=HEAD_SECONDS,
            lingering_time=0.3,
            auto_decompress=False,
            shutdown_timeout=1.0,
        )
        await self._runner.setup()
        try:
            self._listener = await asyncio.get_running_loop().create_server(self._accept, ADDRESS, port)
        except OSError as error:
            await self._runner.cleanup()
            raise _taken(port, error) from error
        return int(self._listener.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Take no more requests, and end the connections."""
        if self._listener is not None:
            self._listener.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _accept(self) -> asyncio.BaseProtocol:
        server = self._runner.server if self._runner is not None else None
        if server is None or len(server.connections) >= CONNECTIONS:
            return _Closed()
        return server()

    @web.middleware
    async def _pass(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every request comes through here, and every fault leaves in OpenAI's shape."""
        try:
            origin = self._checked(request)
            if request.method == "OPTIONS" and origin:
                return web.Response(status=204)
            if not self._guard.lets_in(request.headers.get("Authorization", "")):
                words = "The token is missing or wrong; send it as `Authorization: Bearer TOKEN`."
                raise Refused(401, "invalid_api_key", words)
            return await handler(request)
        except Refused as error:
            body = shape(error.status, error.code, str(error), error.param)
            return web.json_response(body, status=error.status, headers=_advice(error.status))
        except EngineError as error:
            status, body = told(error.info)
            return web.json_response(body, status=status)
        except web.HTTPException as error:
            return _of_http(error)
        except ConnectionError:
            raise
        except Exception:  # the edge of a request: the client learns of it, the engine goes on
            log.exception("a served request failed")
            words = "The request failed in the engine; its log has the details."
            return web.json_response(shape(500, "unforeseen", words), status=500)

    def _checked(self, request: web.Request) -> str:
        """The request's origin, empty for a program. Raises Refused for a foreign host or web page."""
        hosts = request.headers.getall("Host", [])
        name, _, port = (hosts[0] if hosts else "").partition(":")
        if len(hosts) != 1 or name.lower() not in NAMES or not (port or "0").isdecimal():
            words = f"Requests are answered for {ADDRESS} and localhost alone, whatever else points here."
            raise Refused(403, "host_refused", words)
        origin = request.headers.get("Origin", "")
        if origin and origin not in self._origins:
            words = "Web pages may not ask; `qwill serve --allow-origin ORIGIN` lets one in."
            raise Refused(403, "origin_refused", words)
        return origin

    async def _allow(self, request: web.Request, response: web.StreamResponse) -> None:
        """The headers without which a browser hides an answer from the page that asked."""
        origin = request.headers.get("Origin", "")
        if origin and origin in self._origins:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
            response.headers["Access-Control-Allow-Methods"] = "GET, POST"
            response.headers["Vary"] = "Origin"
        response.headers["Cache-Control"] = "no-store"


async def body_of(request: web.Request) -> bytes:
    """A request's whole body. Raises Refused when it is too large, too slow, or compressed."""
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Refused(415, "unsupported_encoding", "The body must not be compressed.")
    if request.content_length is not None and request.content_length > BODY_LIMIT:
        raise _too_large()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError as error:
        raise Refused(408, "too_slow", f"The body did not come within {BODY_SECONDS:g} seconds.") from error
    except web.HTTPRequestEntityTooLarge as error:
        raise _too_large() from error


class _Closed(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _too_large() -> Refused:
    return Refused(413, "too_large", f"The request is larger than {BODY_LIMIT >> 20} MiB.")


def _advice(status: int) -> dict[str, str]:
    if status == 401:
        return {"WWW-Authenticate": "Bearer"}
    return {"Retry-After": "5"} if status == 429 else {}


def _of_http(error: web.HTTPException) -> web.Response:
    """What aiohttp itself says of a request: an unknown address, a wrong method, a broken body."""
    codes = {404: ("not_found", "There is nothing at this address; see GET /v1/models.")}
    code, words = codes.get(error.status, ("bad_request", f"{error.reason}."))
    return web.json_response(shape(error.status, code, words), status=error.status)


def _taken(port: int, error: OSError) -> EngineError:
    used = error.errno == errno.EADDRINUSE
    why = "Another program listens there" if used else error.strerror or str(error)
    return fault(
        "port_taken", f"Port {port} cannot be had", why, "Choose another with --port, or --port 0 for any"
    )
