"""Requests to the hub: its token, its errors, answers of bounded size. Runs in a lane, never in the loop."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import httpx2
from huggingface_hub import get_token

from engine import VERSION
from engine.hub import modelscope
from engine.hub.faults import Passing, odd, refused, unreachable
from engine.hub.places import endpoint, host_of

CONNECT_SECONDS = 10.0
READ_SECONDS = 20.0
"""Without a byte, after which a line counts as cut."""
ANSWER_LIMIT = 32 << 20
"""Bytes of one JSON answer."""


class Web:
    """One client with the token as it is now. A client of its own: huggingface_hub's is switched off in the
    engine's process, so that nothing but these commands can go out."""

    def __init__(self) -> None:
        self._token = _token()
        self._client = httpx2.Client(
            follow_redirects=True,
            timeout=httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            headers={"user-agent": f"qwill/{VERSION}", "accept-encoding": "identity"},
        )

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def json(
        self, path: str, query: Mapping[str, Any], *, model: str = "", what: str = "", base: str = ""
    ) -> Any:
        """A JSON answer of a hub's API, of Hugging Face's without `base`. Raises EngineError, or Passing."""
        url = f"{base or endpoint()}{path}?{urlencode(query, doseq=True)}"
        with self.stream(url, model=model, what=what) as response:
            body, cut = bounded(response, ANSWER_LIMIT)
        if cut:
            raise odd("The answer is too long", host_of(url))
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise odd("The answer is no JSON", host_of(url)) from None

    @contextmanager
    def stream(
        self, url: str, *, model: str, what: str = "", headers: Mapping[str, str] = {}
    ) -> Iterator[httpx2.Response]:
        """An open answer with a status below 300. Raises EngineError, or Passing with one.

        Each token goes to its own hub alone: the client drops it where a redirect leaves its host.
        """
        sign = self._sign(url)
        sent = dict(headers) | sign
        try:
            with self._client.stream("GET", url, headers=sent) as response:
                if response.status_code >= 300:
                    raise refused(model, response.status_code, response.headers, token=bool(sign), what=what)
                yield response
        except httpx2.InvalidURL as error:
            raise unreachable(error, host_of(url)) from error
        except httpx2.UnsupportedProtocol as error:
            raise unreachable(error, host_of(url)) from error
        except httpx2.HTTPError as error:
            raise Passing(unreachable(error, host_of(url))) from error

    def _sign(self, url: str) -> dict[str, str]:
        """The headers with the token of the hub that an address belongs to."""
        if url.startswith(f"{modelscope.endpoint()}/"):
            return modelscope.headers()
        return {"authorization": f"Bearer {self._token}"} if self._token else {}


def bounded(response: httpx2.Response, limit: int) -> tuple[bytes, bool]:
    """The body up to so many bytes, and whether there was more."""
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > limit:
            return bytes(body[:limit]), True
    return bytes(body), False


def _token() -> str:
    """What huggingface_hub would send: HF_TOKEN, or what `hf auth login` kept; empty without one."""
    try:
        return (get_token() or "").strip()
    except (OSError, RuntimeError, ValueError, httpx2.HTTPError):
        return ""
