"""A dataset on a hub on loopback: one JSONL file, with the endpoints that the library `datasets` asks."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

FILE, SHA = "train.jsonl", "b" * 40


@contextmanager
def dataset_hub(name: str, content: bytes) -> Iterator[str]:
    """The hub's address, for HF_ENDPOINT; it knows the one dataset `name`."""

    class Handler(_Handler):
        known, data = name, content

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    known: str
    data: bytes
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        api = f"/api/datasets/{self.known}"
        entry = {"type": "file", "path": FILE, "size": len(self.data), "oid": "c" * 40}
        if path == f"/datasets/{self.known}/resolve/{SHA}/{FILE}":
            self._give(self.data)
        elif path == f"{api}/tree/{SHA}":
            self._give(json.dumps([entry]).encode())
        elif path in (api, f"{api}/revision/{SHA}", f"{api}/revision/main"):
            facts = {"id": self.known, "sha": SHA, "private": False, "gated": False, "disabled": False}
            facts |= {"downloads": 1, "likes": 1, "tags": [], "siblings": [{"rfilename": FILE}]}
            self._give(json.dumps(facts).encode())
        else:
            self._missing()

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self._missing()

    def _missing(self) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _give(self, data: bytes) -> None:
        begin, end = 0, len(data)
        wanted = self.headers.get("range", "")
        if wanted:
            first, last = wanted.removeprefix("bytes=").split("-")
            begin, end = int(first), min(int(last or end) + 1, end)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("X-Repo-Commit", SHA)
        self.send_header("ETag", '"one"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - begin))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[begin:end])
