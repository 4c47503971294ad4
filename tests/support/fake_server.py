"""A model server on loopback that answers as a test tells it to, faults and all."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """One request; `body` is its JSON."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    body: dict[str, Any]

    def do_GET(self) -> None:
        self._do({})

    def do_POST(self) -> None:
        self._do(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _do(self, body: dict[str, Any]) -> None:
        self.body = body
        fake: FakeServer = self.server.fake  # type: ignore[attr-defined]
        if fake.closed:
            self.cut()
            return
        fake.asked.append((self.path, body, dict(self.headers)))
        answer = fake.answers.get(self.path)
        try:
            if answer is None:
                self.json({"error": {"message": "no such path"}}, 404)
            elif callable(answer):
                answer(self)
            else:
                self.json(answer)
        except (BrokenPipeError, ConnectionResetError):
            fake.left.set()

    def json(self, value: Any, status: int = 200) -> None:
        """One whole answer."""
        self.whole(json.dumps(value).encode(), "application/json", status)

    def whole(self, data: bytes, kind: str, status: int = 200, **headers: str) -> None:
        """An answer of any kind."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def begin(self, kind: str = "text/event-stream") -> None:
        """A stream in chunks."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, data: bytes) -> None:
        """A piece of it; the empty one ends it."""
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def cut(self) -> None:
        """End the connection in the middle."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


class FakeServer:
    """What it answers by path: JSON, or a function that writes."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self._server = server
        self.closed = False
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.left = threading.Event()
        """Set when a client left in the middle."""
        self.port = server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def close(self) -> None:
        """Nobody listens there any more."""
        self.closed = True
        self._server.shutdown()
        self._server.server_close()

    def bodies(self, path: str = "/v1/chat/completions") -> list[dict[str, Any]]:
        """What was asked there, in order."""
        return [body for where, body, _ in self.asked if where == path]


@contextmanager
def fake_server(*models: str, **answers: Any) -> Iterator[FakeServer]:
    """A server with these models."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake = FakeServer(server)
    server.fake = fake  # type: ignore[attr-defined]
    fake.answers["/v1/models"] = {"object": "list", "data": [{"id": name, **answers} for name in models]}
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield fake
    finally:
        fake.close()


def chunk(**delta: Any) -> bytes:
    """One step of a chat completion."""
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})


def end(reason: str = "stop", **more: Any) -> bytes:
    """The last step, with the server's numbers."""
    return event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}], **more})


def event(value: Any) -> bytes:
    """As server-sent events have it."""
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def stream(*pieces: bytes, kind: str = "text/event-stream") -> Answer:
    """An answer in these pieces, whole."""

    def write(handler: Handler) -> None:
        handler.begin(kind)
        for piece in pieces:
            handler.chunk(piece)
        handler.chunk(b"")

    return write


def endless(piece: bytes, first: bytes = b"") -> Answer:
    """A stream that ends only when the client leaves."""

    def write(handler: Handler) -> None:
        handler.begin()
        handler.chunk(first or piece)
        while True:
            handler.chunk(piece)
            time.sleep(0.01)

    return write


def status(code: int, message: Any, kind: str = "application/json") -> Answer:
    """A refusal."""

    def write(handler: Handler) -> None:
        data = message.encode() if isinstance(message, str) else json.dumps(message).encode()
        handler.whole(data, kind, code)

    return write
