"""What the hub says of models: rows of a search, one repository with its files. Trusts no field's type."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from engine.hub import files as rules
from engine.hub import modelscope, places
from engine.hub.faults import Passing, odd
from engine.hub.files import RepoFile
from engine.hub.web import Web, bounded
from engine.protocol.errors import EngineError
from engine.protocol.hub import HubFile, HubKind, HubModel, HubOrder, HubRow, SearchHub

SORTS: dict[HubOrder, str] = {
    "downloads": "downloads",
    "likes": "likes",
    "updated": "lastModified",
    "trending": "trendingScore",
}
ASKED = ("downloads", "likes", "gated", "lastModified", "tags", "safetensors", "gguf")
BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "U32": 4, "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1}
"""Of one number in a safetensors file; all others take two."""
CARD_LIMIT = 200_000
"""Bytes of a card."""
FILE_LIMIT = 1000
"""Files told of one repository."""
TAG_LIMIT = 60
T = TypeVar("T")
LARGEST = 1 << 60
"""Bytes or parameters beyond which a number is no number."""


class Repo(msgspec.Struct, frozen=True):
    """One repository at one commit, as far as a download needs it."""

    model: str
    sha: str
    gated: bool
    files: tuple[RepoFile, ...]
    data: dict[str, Any]


def asked(question: Callable[[Web], T]) -> T:
    """The answer to a question that is asked once. Raises EngineError."""
    try:
        with Web() as web:
            return question(web)
    except Passing as passing:
        raise passing.error from passing


def search(web: Web, command: SearchHub) -> tuple[HubRow, ...]:
    """Rows, in the hub's order."""
    if modelscope.is_theirs(command.query.strip()):
        from engine.hub import modelscope_look

        told = map(_row, modelscope_look.search(web, command))
        return tuple(row for row in told if row is not None)
    query: dict[str, Any] = {
        "search": command.query.strip(),
        "limit": min(max(1, command.limit), 100),
        "sort": SORTS[command.order],
        "direction": -1,
        "expand": ASKED,
    }
    if command.author:
        query["author"] = command.author
    if command.kind:
        query["filter"] = command.kind
    answer = web.json("/api/models", {name: value for name, value in query.items() if value != ""})
    if not isinstance(answer, list):
        raise odd("A search gave no list")
    rows = (_row(item) for item in answer[: query["limit"]] if isinstance(item, dict))
    return tuple(row for row in rows if row is not None)


def repo(web: Web, model: str, revision: str) -> Repo:
    """The files of a revision, and the commit that it means now. Raises EngineError, or Passing with one."""
    if modelscope.is_theirs(model):
        from engine.hub import modelscope_look

        commit, files = modelscope_look.files(web, model, revision)
        return Repo(model, commit, False, files, {})
    quoted = places.quote(revision or "main", safe="")
    data = web.json(f"/api/models/{model}/revision/{quoted}", {"blobs": "true"}, model=model, what=revision)
    sha = data.get("sha") if isinstance(data, dict) else None
    if not isinstance(sha, str) or not places.is_sha(sha):
        raise odd("It names no commit")
    listed = data.get("siblings")
    found = (_file(item) for item in (listed if isinstance(listed, list) else []) if isinstance(item, dict))
    unique = {file.name: file for file in found if file is not None}
    return Repo(model, sha, bool(data.get("gated")), tuple(unique.values()), data)


def model(web: Web, id_: str, revision: str) -> HubModel:
    """Card, files and sizes of one repository."""
    found = repo(web, id_, revision)
    taken = {file.name for file in rules.needed(found.files)}
    told = sorted(
        (
            HubFile(
                file.name,
                file.size,
                rules.role(file.name),
                file.name in taken,
                rules.here(id_, found.sha, file),
            )
            for file in found.files
        ),
        key=lambda file: (not file.needed, file.name),
    )
    card, cut = _card(web, id_, found.sha)
    data = found.data
    if modelscope.is_theirs(id_):
        from engine.hub import modelscope_look

        data = modelscope_look.facts(web, id_)
    row = _row(data | {"id": id_}) or HubRow(id_)
    return HubModel(
        id=id_,
        sha=found.sha,
        revision=revision or places.branch(id_),
        page=places.page(id_),
        licence=row.licence,
        gated=found.gated,
        downloads=row.downloads,
        likes=row.likes,
        updated=row.updated,
        tags=row.tags,
        kind=rules.kind(found.files),
        files=tuple(told[:FILE_LIMIT]),
        choices=() if taken else rules.choices(found.files)[:FILE_LIMIT],
        total=sum(file.size for file in told if file.needed),
        here=sum(file.here for file in told if file.needed),
        free=places.free_bytes(),
        why="" if taken else _why(rules.nothing(id_, found.files)),
        card=card,
        card_cut=cut,
    )


def _why(error: EngineError) -> str:
    return (
        f"{error.info.title}. {error.info.detail}."
        if error.info.code != "hub_choose_file"
        else error.info.title
    )


def _card(web: Web, id_: str, sha: str) -> tuple[str, bool]:
    """README.md as text; empty where there is none, or where it is not shown to us."""
    try:
        with web.stream(places.file_url(id_, sha, "README.md"), model=id_) as response:
            body, cut = bounded(response, CARD_LIMIT)
    except (EngineError, Passing):
        return "", False
    text = body.decode("utf-8", "ignore" if cut else "replace")
    # A card of nothing but control characters grows sixfold on its way.
    while len(msgspec.json.encode(text)) > 2 * CARD_LIMIT:
        text, cut = text[: len(text) // 2], True
    return text, cut


def _file(item: dict[str, Any]) -> RepoFile | None:
    """A file with a name that may lie on this disk, a size and a hash; None for all others."""
    name, size, large = item.get("rfilename"), item.get("size"), item.get("lfs")
    blob = item.get("blobId")
    if isinstance(large, dict):
        blob, size = large.get("sha256"), large.get("size", size)
    if not isinstance(name, str) or not isinstance(blob, str) or not isinstance(size, int):
        return None
    hexadecimal = len(blob) == (64 if isinstance(large, dict) else 40) and not set(blob) - set(
        "0123456789abcdef"
    )
    if not hexadecimal or not 0 <= size < LARGEST or isinstance(size, bool):
        return None
    try:
        return RepoFile(name, size, blob) if places.safe_name(name) else None
    except UnicodeEncodeError:  # a lone surrogate cannot travel, nor be a name
        return None


def _row(item: dict[str, Any]) -> HubRow | None:
    id_ = item.get("id")
    if not isinstance(id_, str) or not places.is_id(id_):
        return None
    tags = tuple(_text(tag, 80) for tag in _list(item.get("tags"))[:TAG_LIMIT] if isinstance(tag, str))
    parameters, size = _weights(item)
    return HubRow(
        id=id_,
        downloads=_number(item.get("downloads")),
        likes=_number(item.get("likes")),
        gated=bool(item.get("gated")),
        updated=_time(item.get("lastModified")),
        tags=tags,
        licence=next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), ""),
        parameters=parameters,
        size=size,
        kind=_kind(item, tags),
        here=(places.repo_folder(id_) / "snapshots").is_dir(),
    )


def _kind(item: dict[str, Any], tags: tuple[str, ...]) -> HubKind:
    if item.get("safetensors") or "safetensors" in tags:
        return "safetensors"
    return "gguf" if item.get("gguf") or "gguf" in tags else ""


def _weights(item: dict[str, Any]) -> tuple[int, int]:
    """Parameters, and bytes of the safetensors files; 0 where the hub does not tell."""
    tensors, gguf = item.get("safetensors"), item.get("gguf")
    if isinstance(tensors, dict):
        by_type = tensors.get("parameters")
        counts = by_type if isinstance(by_type, dict) else {}
        size = sum(_number(count) * BYTES.get(str(kind), 2) for kind, count in counts.items())
        return _number(tensors.get("total")), min(size, LARGEST)
    return (_number(gguf.get("total")), 0) if isinstance(gguf, dict) else (0, 0)


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST else 0


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: str, limit: int) -> str:
    """Text that can travel: JSON may spell lone surrogates."""
    return value[:limit].encode("utf-8", "replace").decode()


def _time(value: Any) -> float:
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else 0.0
    except (ValueError, OverflowError):
        return 0.0
