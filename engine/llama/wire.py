"""HTTP over a local socket, as far as llama.cpp's server needs it: JSON in, JSON or a stream of it out."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Callable, Generator, Iterator
from typing import Any

from engine.protocol.errors import EngineError, fault

ANSWER_LIMIT = 256 << 20
"""Bytes of one answer at most."""
LINE_LIMIT = 32 << 20
"""Bytes of one event of a stream at most."""
TICK = 0.05
"""Seconds between two looks at whether to go on."""
CONNECT_SECONDS = 10.0
_STREAMED = b"text/event-stream"


class Wire:
    """One server on one socket. Thread-safe: every request has a connection of its own."""

    def __init__(self, path: str, key: str) -> None:
        self._path = path
        self._key = key

    def ask(self, route: str, body: dict[str, Any], go_on: Callable[[], bool] = lambda: True) -> Any:
        """Post JSON, return JSON. Raises EngineError `llama_lost`, `llama_refused`, `cancelled`."""
        raw = bytearray()
        with self._connected() as link:
            for piece in self._exchange(link, route, body, go_on):
                raw += piece
                if len(raw) > ANSWER_LIMIT:
                    raise _lost("Its answer is too long")
        if not go_on():
            raise fault("cancelled", "The request was cancelled")
        return _json(bytes(raw))

    def stream(
        self, route: str, body: dict[str, Any], go_on: Callable[[], bool]
    ) -> Generator[dict[str, Any], None, None]:
        """Post JSON, yield the events as they come; ends early once `go_on` says no.

        Raises EngineError `llama_lost`, `llama_refused`. Closing the link stops what the server computes.
        """
        rest = b""
        with self._connected() as link:
            for piece in self._exchange(link, route, body, go_on):
                *lines, rest = (rest + piece).split(b"\n")
                if len(rest) > LINE_LIMIT:
                    raise _lost("Its answer is too long")
                for line in lines:
                    if line.startswith(b"data: {"):
                        yield _json(line[6:])
                    elif line.startswith(b"error: {"):
                        raise _refused(_json(line[7:]))

    def _connected(self) -> socket.socket:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(CONNECT_SECONDS)
        try:
            link.connect(self._path)
        except OSError as error:
            link.close()
            raise _lost(str(error.strerror or error)) from error
        return link

    def _exchange(
        self, link: socket.socket, route: str, body: dict[str, Any], go_on: Callable[[], bool]
    ) -> Iterator[bytes]:
        """Send, check the head, and yield the body as it comes. Raises EngineError."""
        raw = json.dumps(body).encode()
        head = (
            f"POST {route} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self._key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\nConnection: close\r\n\r\n"
        )
        try:
            link.sendall(head.encode() + raw)
        except OSError as error:
            raise _lost(str(error.strerror or error)) from error
        status, chunked, data = self._head(link, go_on)
        if not status:
            return
        pieces = _received(link, data, go_on)
        pieces = _unchunked(pieces) if chunked else pieces
        if status != 200:
            raise _refused(_json(b"".join(pieces)))
        yield from pieces

    def _head(self, link: socket.socket, go_on: Callable[[], bool]) -> tuple[int, bool, bytes]:
        """Status, whether the body comes in chunks, and what came of it already; 0 when not to go on."""
        data = b""
        for piece in _received(link, b"", go_on):
            data += piece
            head, end, body = data.partition(b"\r\n\r\n")
            if end:
                words = head.split(b" ", 2)
                status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 500
                return status, b"transfer-encoding: chunked" in head.lower(), body
            if len(data) > 1 << 16:
                raise _lost("Its answer makes no sense")
        if go_on():
            raise _lost("It ended without an answer")
        return 0, False, b""


def _received(link: socket.socket, first: bytes, go_on: Callable[[], bool]) -> Iterator[bytes]:
    """What comes until the other side closes, or until not to go on."""
    if first:
        yield first
    while go_on():
        try:
            if not select.select([link], [], [], TICK)[0]:
                continue
            piece = link.recv(1 << 16)
        except OSError as error:
            raise _lost(str(error.strerror or error)) from error
        if not piece:
            return
        yield piece


def _unchunked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The body without the sizes that stand before its chunks."""
    data = b""
    for piece in pieces:
        data += piece
        while b"\r\n" in data:
            size, _, rest = data.partition(b"\r\n")
            length = _hex(size)
            if length == 0:
                return
            if len(rest) < length + 2:
                break
            yield rest[:length]
            data = rest[length + 2 :]


def _hex(text: bytes) -> int:
    try:
        return int(text.split(b";")[0], 16)
    except ValueError:
        raise _lost("Its answer makes no sense") from None


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise _lost("Its answer makes no sense") from None


def _lost(detail: str) -> EngineError:
    return fault(
        "llama_lost",
        "The process that holds the GGUF model ended or does not answer",
        detail,
        "Send the message again; the model is loaded anew",
        retryable=True,
    )


def _refused(answer: Any) -> EngineError:
    error = answer.get("error") if isinstance(answer, dict) else None
    words = error.get("message") if isinstance(error, dict) else ""
    return fault("llama_refused", "llama.cpp refused the request", str(words)[:300])
