"""HTTP to one server: bounded answers, streams that can be cut off, and faults in words."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from engine.protocol.errors import EngineError
from engine.servers.endpoint import Endpoint
from engine.servers.errors import not_an_api, refused, short, silent, stopped, unreachable

if TYPE_CHECKING:
    import httpx2

ANSWER_LIMIT = 16 << 20
"""Bytes of an answer that is no stream."""
CONNECT = 5.0
"""Seconds to reach a server."""
ASK = 10.0
"""Seconds for a question about the server itself."""


class Link:
    """Used from the servers' loop alone. httpx2 is imported with the first one."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises EngineError `key_missing` or `key_unusable`."""
        import httpx2

        # It would write a line with the address for each request.
        for name in ("httpx2", "httpcore2"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self.endpoint = endpoint
        self._httpx = httpx2
        self._key = endpoint.secret()
        headers = {"User-Agent": "qwill", "Accept": "application/json, text/event-stream"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        # What the environment says of proxies is meant for other machines than this one.
        self._client = httpx2.AsyncClient(
            headers=headers,
            follow_redirects=False,
            trust_env=not endpoint.local,
            verify=endpoint.url.startswith("https:"),  # certificates take a tenth of a second to read
        )

    @property
    def key(self) -> str:
        """To keep it out of what is shown."""
        return self._key

    async def close(self) -> None:
        """Close what is open."""
        await self._client.aclose()

    async def get(self, url: str, *, seconds: float = ASK) -> Any:
        """The JSON at an address. Raises EngineError, `Refused` with the status among them."""
        return await self._ask("GET", url, None, seconds)

    async def post(self, url: str, body: Mapping[str, Any], *, seconds: float = ASK) -> Any:
        """The JSON that answers this one."""
        return await self._ask("POST", url, body, seconds)

    async def _ask(self, method: str, url: str, body: Mapping[str, Any] | None, seconds: float) -> Any:
        async with self._sent(method, url, body, seconds) as response:
            data = await self._whole(response)
        try:
            return msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError) as error:
            raise not_an_api(self.endpoint, "Its answer is not JSON") from error

    @asynccontextmanager
    async def stream(
        self, url: str, body: Mapping[str, Any], *, model: str
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes that answer a question, as they come. Leaving it closes the connection, which stops the
        server. Raises EngineError, `Refused` with the status among them."""
        async with self._sent("POST", url, body, self.endpoint.timeout, model) as response:
            if "text/html" in response.headers.get("content-type", ""):
                raise not_an_api(self.endpoint, "It answered with a web page")
            yield response.aiter_bytes()

    @asynccontextmanager
    async def _sent(
        self, method: str, url: str, body: Mapping[str, Any] | None, seconds: float, model: str = ""
    ) -> AsyncIterator[httpx2.Response]:
        httpx2 = self._httpx
        content = None if body is None else msgspec.json.encode(body)
        headers = {} if content is None else {"Content-Type": "application/json"}
        begun = False
        try:
            async with self._client.stream(
                method,
                url,
                content=content,
                headers=headers,
                timeout=httpx2.Timeout(seconds, connect=min(CONNECT, seconds)),
            ) as response:
                if response.status_code != 200:
                    data = await self._whole(response)
                    raise refused(self.endpoint, response.status_code, data, key=self._key, model=model)
                begun = True
                yield response
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise unreachable(self.endpoint, error) from error
        except httpx2.TimeoutException as error:
            raise silent(self.endpoint, seconds) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            detail = short(str(error), self._key)
            raise (stopped(self.endpoint, detail) if begun else unreachable(self.endpoint, error)) from error

    async def _whole(self, response: httpx2.Response) -> bytes:
        data = bytearray()
        async for chunk in response.aiter_bytes():
            data += chunk
            if len(data) > ANSWER_LIMIT:
                raise not_an_api(self.endpoint, f"Its answer is over {ANSWER_LIMIT >> 20} MiB long")
        return bytes(data)


async def quietly(question: Any) -> Any:
    """The answer to a question that a server need not understand; None where it does not."""
    try:
        return await question
    except EngineError:
        return None
