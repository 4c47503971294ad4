"""A server that speaks ModelScope's addresses on loopback; its files lie on a host of another name."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.fake_hub import FakeHub, FakeModel, _Handler, _Server

OLDER = "0" * 40


@contextmanager
def fake_modelscope() -> Iterator[FakeHub]:
    """Listening until the end of the block. With `token` set, every model wants it."""
    hub = FakeHub()

    class Handler(_Scope):
        known = hub

    server = _Server(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    hub.cdn = f"http://localhost:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield hub
    finally:
        hub.go.set()
        server.shutdown()
        server.server_close()


class _Scope(_Handler):
    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), {name: each[0] for name, each in parse_qs(parts.query).items()}
        self.known.asked.append((path, {name.lower(): value for name, value in self.headers.items()}))
        if path == "/openapi/v1/models":
            self._rows(query)
            return
        if path.startswith("/cdn/"):
            self._contents(path.removeprefix("/cdn/"))
            return
        id_ = "/".join(path.removeprefix("/api/v1/models/").split("/")[:2])
        model, rest = self.known.models.get(id_), path.removeprefix(f"/api/v1/models/{id_}")
        if self.known.statuses:
            self._error(self.known.statuses.pop(0), "")
        elif model is None:
            self._error(404, "")
        elif self.known.token and f"m_session_id={self.known.token}" != self.headers.get("cookie"):
            self._error(403, "")
        elif rest == "/repo/files":
            self._listing(model, query)
        elif rest == "/repo":
            self._file(id_, model, query)
        else:
            about = {
                "Downloads": 7,
                "Stars": 3,
                "License": "Apache License 2.0",
                "LastUpdatedTime": 1767323045,
            }
            self._json({"Code": 200, "Success": True, "Data": about})

    def _rows(self, query: dict[str, str]) -> None:
        words = query.get("search", "").lower()
        models = [
            {
                "id": id_,
                "downloads": 100,
                "likes": 1,
                "license": "apache-2.0",
                "params": 600_000_000,
                "last_modified": "2026-01-02T03:04:05Z",
                "tags": ["library:transformers"],
                "gated": False,
            }
            for id_ in self.known.models
            if words in id_.lower()
        ]
        self._json({"success": True, "data": {"models": models, "total_count": len(models)}})

    def _listing(self, model: FakeModel, query: dict[str, str]) -> None:
        if query["Revision"] not in (model.branch, model.sha):
            self._json({"Code": 10010, "Success": False, "Message": "no such revision", "Data": None})
            return
        files = [_listed(number, name, model) for number, name in enumerate(model.files)]
        folder = {
            "Path": "sub",
            "Name": "sub",
            "Type": "tree",
            "Revision": OLDER,
            "CommittedDate": 1,
            "Size": 0,
        }
        self._json({"Code": 200, "Success": True, "Data": {"Files": [*files, folder, *model.siblings]}})

    def _file(self, id_: str, model: FakeModel, query: dict[str, str]) -> None:
        if query["Revision"] != model.sha or query["FilePath"] not in model.files:
            self._error(404, "")
            return
        self.send_response(302)
        self.send_header("Location", f"{self.known.cdn}/cdn/{id_}/{query['FilePath']}")
        self.send_header("Content-Length", "0")
        self.end_headers()


def _listed(number: int, name: str, model: FakeModel) -> dict[str, Any]:
    """The newest commit touched the first file alone."""
    data = model.promised.get(name, model.files[name])
    return {
        "Path": name,
        "Name": name.rpartition("/")[2],
        "Type": "blob",
        "Size": len(model.files[name]),
        "Sha256": hashlib.sha256(data).hexdigest(),
        "Revision": OLDER if number else model.sha,
        "CommittedDate": 1_700_000_000 - number,
    }
