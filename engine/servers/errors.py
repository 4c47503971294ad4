"""What a server answered instead of a reply, in words a person can act on."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from engine.network_words import network_words
from engine.protocol.errors import EngineError, ErrorInfo, fault
from engine.servers.endpoint import Endpoint

SHOWN = 300
"""Characters of a server's own words that are passed on."""
_CONTEXT = re.compile(
    r"context[ _]?(length|size|window)|maximum context|too many tokens|prompt is too long|n_ctx|exceeds? the"
    r"( model's)? (context|maximum)|exceed_context",
    re.IGNORECASE,
)
_TAGS = re.compile(r"<[^<>]{1,200}>")


class Refused(EngineError):
    """A server's answer with an error status; `words` are its own."""

    def __init__(self, info: ErrorInfo, status: int, words: str) -> None:
        super().__init__(info)
        self.status = status
        self.words = words


def message_of(body: bytes | dict[str, Any]) -> str:
    """The server's own words in the shapes in use: error.message, error, detail, message, plain text."""
    value: Any = body
    if isinstance(body, bytes):
        try:
            value = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            return body.decode("utf-8", "replace")
    for key in ("error", "detail", "message", "msg"):
        if isinstance(value, dict) and value.get(key):
            value = value[key]
    if isinstance(value, list):
        return "; ".join(message_of(item) if isinstance(item, dict) else str(item) for item in value[:5])
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def short(words: str, key: str) -> str:
    """A server's words as they may be shown: one line, no tags, and never the key."""
    if key:
        words = words.replace(key, "(key)")
    return " ".join(_TAGS.sub(" ", words).split())[:SHOWN]


def refused(endpoint: Endpoint, status: int, body: bytes, *, key: str, model: str = "") -> Refused:
    """The fault for an answer of this status."""
    words = message_of(body[: 64 << 10])
    said = short(words, key)
    info = _info(endpoint, status, words, said, model, has_key=bool(key))
    return Refused(info, status, words)


def _info(endpoint: Endpoint, status: int, words: str, said: str, model: str, *, has_key: bool) -> ErrorInfo:
    name, place = endpoint.name, endpoint.place
    add = f"`qwill endpoints add {name} {endpoint.url} --key`"
    if status in (401, 403):
        title = f"{name} refused the key" if has_key else f"{name} wants a key"
        return ErrorInfo("server_key", title, said, f"Give it one: {add}")
    if status == 404 and model:
        return ErrorInfo(
            "server_model_gone",
            f"{name} has no model called {model}",
            said,
            f"See what it has: `qwill endpoints check {name}`, then choose another (F2)",
        )
    if status in (400, 413, 422) and _CONTEXT.search(words):
        return ErrorInfo(
            "context_full",
            f"The chat is too long for {name}",
            said,
            "Shorten it, start a new chat, or start the server with a longer context",
        )
    if status == 429:
        return ErrorInfo(
            "server_busy", f"{name} has too much to do", said, "Ask again in a moment", retryable=True
        )
    if status >= 500:
        return ErrorInfo(
            "server_failed",
            f"{name} failed with status {status}",
            said,
            "Ask again; the server's own log says more",
            retryable=True,
        )
    if 300 <= status < 400 or status in (404, 405):
        return not_an_api(endpoint, f"It answered with status {status}").info
    remedy = f"Look at the server at {place}: `qwill endpoints check {name}`"
    return ErrorInfo("server_refused", f"{name} refused the request with status {status}", said, remedy)


def not_an_api(endpoint: Endpoint, detail: str) -> EngineError:
    """Something answers, but not in the way of these servers."""
    return fault(
        "server_not_api",
        f"What answers at {endpoint.place} is no OpenAI-compatible server",
        detail,
        "Check the address; it mostly ends in /v1",
    )


def unreachable(endpoint: Endpoint, error: Exception) -> EngineError:
    """Nobody answers there."""
    return fault(
        "server_unreachable",
        f"{endpoint.name} does not answer at {endpoint.place}",
        short(network_words(error), ""),
        f"Start the server, or check the address: `qwill endpoints check {endpoint.name}`",
        retryable=True,
    )


def silent(endpoint: Endpoint, seconds: float) -> EngineError:
    """It took the question and said nothing for too long."""
    return fault(
        "server_timeout",
        f"{endpoint.name} was silent for {seconds:g} seconds",
        "A long prompt on a slow machine may need longer",
        f"Ask again, or wait longer: `qwill endpoints add {endpoint.name} {endpoint.url} --timeout S`",
        retryable=True,
    )


def stopped(endpoint: Endpoint, detail: str = "") -> EngineError:
    """The stream ended in the middle."""
    return fault(
        "server_stopped",
        f"{endpoint.name} stopped in the middle of the reply",
        detail or "The connection ended before the reply was complete",
        "What came is kept; ask again, or continue the reply",
        retryable=True,
    )
