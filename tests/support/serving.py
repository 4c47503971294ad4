"""An endpoint of a real engine in this process, asked by OpenAI's own client or by bare sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai

from engine.client import Client
from engine.protocol import commands as c
from engine.protocol.serve import ServingInfo

SECONDS = 30


class Endpoint:
    """Where it listens, and the token that opens it."""

    def __init__(self, client: Client, info: ServingInfo, token: str) -> None:
        self.client = client
        self.info = info
        self.token = token
        self.ai = openai.AsyncOpenAI(base_url=info.address, api_key=token, max_retries=0, timeout=60)

    async def ask(self, text: str = "Who are you?", **more: Any) -> Any:
        """One chat completion of the demo model, greedy and without thinking unless told otherwise."""
        said = {"model": "demo", "temperature": 0, "reasoning_effort": "none", "max_tokens": 60}
        return await self.ai.chat.completions.create(
            messages=more.pop("messages", None) or [{"role": "user", "content": text}], **{**said, **more}
        )

    async def refused(self, **more: Any) -> tuple[int, dict[str, Any]]:
        """Status and error of a completion that is not given."""
        try:
            await self.ask(**more)
        except openai.APIStatusError as error:
            return error.status_code, error.body
        raise AssertionError("it was answered")

    async def raw(self, data: bytes) -> tuple[int, bytes]:
        """Send these bytes; the status and all that comes until the connection is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.info.port)
        try:
            writer.write(data)
            await writer.drain()
            answer = await asyncio.wait_for(reader.read(), SECONDS)
        finally:
            writer.close()
        status = int(answer.split(None, 2)[1]) if answer.startswith(b"HTTP/") else 0
        return status, answer.partition(b"\r\n\r\n")[2]

    def head(self, method: str = "GET", path: str = "/v1/models", **headers: str) -> bytes:
        """A request's head, good unless a header is changed; an empty value leaves it out."""
        fields = {"Host": "localhost", "Authorization": f"Bearer {self.token}", "Connection": "close"}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{name}: {value}" for name, value in fields.items() if value]
        return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode()

    def post(self, body: bytes | dict[str, Any], **headers: str) -> bytes:
        """A whole chat completion request."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.head("POST", "/v1/chat/completions", Content_Length=str(len(data)), **headers) + data

    async def state(self) -> ServingInfo:
        """As the engine tells it now."""
        serving = (await self.client.request(c.ShowServing())).serving
        assert serving is not None
        return serving

    async def until(self, ready: Callable[[ServingInfo], bool]) -> ServingInfo:
        """The state as soon as it is so."""
        async with asyncio.timeout(SECONDS):
            while not ready(found := await self.state()):
                await asyncio.sleep(0.01)
        return found


@asynccontextmanager
async def endpoint(client: Client, **more: Any) -> AsyncIterator[Endpoint]:
    """Start serving on a free port, and stop at the end."""
    info = await client.request(c.StartServing(port=0, **more))
    token = more.get("token") or Path(info.token_file).read_text().strip()
    made = Endpoint(client, info, token)
    try:
        yield made
    finally:
        await made.ai.close()
        await client.request(c.StopServing())
