"""A hub on loopback that speaks the endpoints of the real one, and fails in the ways that a test asks for."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".safetensors", ".gguf", ".bin")
PIECE = 16 << 10


@dataclass
class FakeModel:
    """One repository with one commit."""

    files: dict[str, bytes]
    sha: str = "a" * 40
    branch: str = "main"
    gated: bool = False
    tags: tuple[str, ...] = ("license:apache-2.0", "safetensors")
    promised: dict[str, bytes] = field(default_factory=dict)
    """Contents whose hash the hub tells, where it sends others."""
    siblings: list[dict[str, Any]] = field(default_factory=list)
    """Further rows of the listing, as a hostile hub may send them."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Further fields of the row of a search."""


@dataclass
class FakeHub:
    """What there is, what was asked, and what is to go wrong."""

    url: str = ""
    cdn: str = ""
    models: dict[str, FakeModel] = field(default_factory=dict)
    token: str = ""
    """Without it gated models are refused."""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path and headers (names in lower case) of each request."""
    cuts: dict[str, list[int]] = field(default_factory=dict)
    """Per file: after how many bytes the connection is cut, one entry a request."""
    statuses: list[int] = field(default_factory=list)
    """Given to the next requests for files, instead of an answer."""
    retry_after: str = ""
    ranges: bool = True
    reached: threading.Event = field(default_factory=threading.Event)
    """Set when a held file has come to its hold."""
    holds: dict[str, int] = field(default_factory=dict)
    """Per file: after how many bytes the hub waits for `go`."""
    go: threading.Event = field(default_factory=threading.Event)

    def ranges_asked(self, name: str) -> list[str]:
        """The Range headers of all requests for the contents of a file."""
        return [headers.get("range", "") for path, headers in self.asked if path == f"/cdn/{name}"]


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """The hub, listening until the end of the block. Large files lie on a host of another name."""
    hub = FakeHub()

    class Handler(_Handler):
        known = hub

    server = _Server(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    hub.cdn = f"http://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.go.set()
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that leaves in the middle is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    known: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        hub = self.known
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        hub.asked.append((path, headers))
        if path == "/api/models":
            self._search(parse_qs(parts.query))
        elif path.startswith("/api/models/"):
            id_, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            self._model(id_, revision)
        elif path.startswith("/cdn/"):
            self._contents(path.removeprefix("/cdn/"))
        elif "/resolve/" in path:
            id_, _, rest = path[1:].partition("/resolve/")
            self._resolve(id_, *rest.split("/", 1))
        else:
            self._error(404, "")

    # --- the API ----------------------------------------------------------------------------

    def _search(self, query: dict[str, list[str]]) -> None:
        words = query.get("search", [""])[0].lower()
        rows = [
            {
                "id": id_,
                "downloads": 100 + number,
                "likes": number,
                "gated": "manual" if model.gated else False,
                "lastModified": "2026-01-02T03:04:05.000Z",
                "tags": list(model.tags),
            }
            | model.extra
            for number, (id_, model) in enumerate(self.known.models.items())
            if words in id_.lower()
        ]
        self._json(rows[: int(query["limit"][0])])

    def _model(self, id_: str, revision: str) -> None:
        model = self.known.models.get(id_)
        if self.known.statuses and self.known.statuses[0] < 0:
            self._error(-self.known.statuses.pop(0), "")
        elif model is None:
            self._error(401, "RepoNotFound")
        elif revision not in (model.branch, model.sha):
            self._error(404, "RevisionNotFound")
        else:
            siblings = [_sibling(name, model) for name in model.files] + model.siblings
            facts = {"id": id_, "sha": model.sha, "gated": model.gated, "siblings": siblings}
            self._json(facts | {"tags": list(model.tags), "downloads": 7, "likes": 3})

    # --- files ------------------------------------------------------------------------------

    def _resolve(self, id_: str, sha: str, name: str) -> None:
        hub, model = self.known, self.known.models.get(id_)
        if hub.statuses and hub.statuses[0] > 0:
            self._error(hub.statuses.pop(0), "")
        elif model is None:
            self._error(401, "RepoNotFound")
        elif model.gated and self.headers.get("authorization") != f"Bearer {hub.token}":
            self._error(401, "GatedRepo")
        elif sha != model.sha:
            self._error(404, "RevisionNotFound")
        elif name not in model.files:
            self._error(404, "EntryNotFound")
        elif name.endswith(LARGE):
            self.send_response(302)
            self.send_header("Location", f"{hub.cdn}/cdn/{id_}/{name}")
            self.send_header("X-Repo-Commit", sha)
            self.send_header("X-Linked-Size", str(len(model.files[name])))
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send(name, model.files[name])

    def _contents(self, path: str) -> None:
        id_ = next(id_ for id_ in self.known.models if path.startswith(f"{id_}/"))
        name = path.removeprefix(f"{id_}/")
        self._send(name, self.known.models[id_].files[name])

    def _send(self, name: str, data: bytes) -> None:
        wanted = self.headers.get("range", "")
        begin, end = 0, len(data)
        if wanted and self.known.ranges:
            first, last = wanted.removeprefix("bytes=").split("-")
            begin, end = int(first), min(int(last) + 1, len(data))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(end - begin))
        self.end_headers()
        cuts = self.known.cuts.get(name)
        stop = begin + cuts.pop(0) if cuts else end
        hold = self.known.holds.get(name, -1)
        for start in range(begin, min(stop, end), PIECE):
            if 0 <= hold <= start and not self.known.go.is_set():
                self.wfile.flush()
                self.known.reached.set()
                self.known.go.wait(30)
            self.wfile.write(data[start : min(start + PIECE, stop, end)])
        if stop < end:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)

    def _json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _error(self, status: int, code: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        if self.known.retry_after:
            self.send_header("Retry-After", self.known.retry_after)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _sibling(name: str, model: FakeModel) -> dict[str, Any]:
    data = model.promised.get(name, model.files[name])
    row: dict[str, Any] = {"rfilename": name, "size": len(model.files[name]), "blobId": git_hash(data)}
    if name.endswith(LARGE):
        row["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": row["size"], "pointerSize": 134}
    return row


def git_hash(data: bytes) -> str:
    """What git calls a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
