"""What ModelScope says of models, told as the Hugging Face hub would tell it. Trusts no field's type."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from engine.hub import modelscope, places
from engine.hub.faults import Passing, odd
from engine.hub.files import RepoFile
from engine.hub.web import Web
from engine.protocol.errors import EngineError, fault
from engine.protocol.hub import HubOrder, SearchHub

SORTS: dict[HubOrder, str] = {
    "downloads": "downloads",
    "likes": "likes",
    "updated": "last_modified",
    "trending": "default",
}
MOST = 50
"""Rows that one search gives."""
LARGEST = 1 << 60


def search(web: Web, command: SearchHub) -> list[dict[str, Any]]:
    """Rows of a search, best first."""
    query: dict[str, Any] = {
        "search": modelscope.bare(command.query.strip()).strip(),
        "sort": SORTS[command.order],
        "page_number": 1,
        "page_size": min(max(1, command.limit), MOST),
    }
    if command.author:
        query["owner"] = command.author
    if command.kind == "gguf":
        query["filter.library"] = command.kind
    answer = web.json("/openapi/v1/models", query, base=modelscope.endpoint())
    data = answer.get("data") if isinstance(answer, dict) else None
    found = data.get("models") if isinstance(data, dict) else None
    if not isinstance(found, list):
        raise odd("A search gave no list", places.host(modelscope.PREFIX))
    return [_row(item) for item in found[: query["page_size"]] if isinstance(item, dict)]


def _row(item: dict[str, Any]) -> dict[str, Any]:
    given = item.get("tags")
    tags = [
        tag.removeprefix("library:")
        for tag in (given if isinstance(given, list) else [])
        if isinstance(tag, str)
    ]
    if isinstance(item.get("license"), str) and item["license"]:
        tags.insert(0, f"license:{item['license']}")
    name = str(item.get("id", ""))
    parameters = item.get("params")
    return {
        "id": modelscope.PREFIX + name,
        "downloads": item.get("downloads"),
        "likes": item.get("likes"),
        "gated": item.get("gated") is True,
        "lastModified": item.get("last_modified"),
        "tags": [*tags, *(["gguf"] if name.lower().endswith("gguf") and "gguf" not in tags else [])],
        "gguf" if "gguf" in tags or name.lower().endswith("gguf") else "safetensors": {"total": parameters},
    }


def facts(web: Web, model: str) -> dict[str, Any]:
    """Licence and counts of one model; nothing where they cannot be had."""
    try:
        data = _data(web.json(modelscope.api(model), {}, model=model, base=modelscope.endpoint()), model)
    except (EngineError, Passing):
        return {}
    licence, changed = data.get("License"), data.get("LastUpdatedTime")
    return {
        "downloads": data.get("Downloads"),
        "likes": data.get("Stars"),
        "tags": [f"license:{licence}"] if isinstance(licence, str) and licence else [],
        "lastModified": _iso(changed),
    }


def files(web: Web, model: str, revision: str) -> tuple[str, tuple[RepoFile, ...]]:
    """The commit that a revision means now, and its files. Raises EngineError, or Passing with one.

    A listing names the last commit of each file: the newest of them is the one that the branch stands at.
    """
    query = {"Revision": revision or modelscope.BRANCH, "Recursive": "true"}
    path = f"{modelscope.api(model)}/repo/files"
    answer = web.json(path, query, model=model, what=revision, base=modelscope.endpoint())
    listed = _data(answer, model).get("Files")
    items = [item for item in (listed if isinstance(listed, list) else []) if isinstance(item, dict)]
    commits = [(_whole(item.get("CommittedDate")), str(item.get("Revision"))) for item in items]
    commits = sorted(commit for commit in commits if places.is_sha(commit[1]))
    if not commits:
        raise odd("It names no commit", places.host(model))
    found = (_file(item) for item in items if item.get("Type") != "tree")
    return commits[-1][1], tuple({file.name: file for file in found if file is not None}.values())


def _file(item: dict[str, Any]) -> RepoFile | None:
    """A file with a name that may lie on this disk, a size and a SHA-256; None for all others."""
    name, size, digest = item.get("Path"), item.get("Size"), item.get("Sha256")
    if not isinstance(name, str) or not isinstance(digest, str) or not isinstance(size, int):
        return None
    if isinstance(size, bool) or not 0 <= size < LARGEST or len(digest) != 64 or set(digest) - _HEX:
        return None
    try:
        return RepoFile(name, size, digest) if places.safe_name(name) else None
    except UnicodeEncodeError:  # a lone surrogate cannot travel, nor be a name
        return None


_HEX = set("0123456789abcdef")


def _data(answer: Any, model: str) -> dict[str, Any]:
    """What an answer is about; its `Code` tells a fault that the status may hide."""
    if not isinstance(answer, dict):
        raise odd("It is no object", places.host(model))
    data = answer.get("Data")
    if answer.get("Code") != 200 or not isinstance(data, dict):
        raise fault(
            "hub_refused",
            f"{places.host(model)} refused to tell about {modelscope.bare(model)}",
            str(answer.get("Message") or "")[:200],
            "Look at " + modelscope.page(model),
        )
    return data


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _iso(seconds: Any) -> str:
    """Unix time as text."""
    try:
        return datetime.fromtimestamp(_whole(seconds), UTC).isoformat() if _whole(seconds) > 0 else ""
    except (ValueError, OverflowError, OSError):
        return ""
