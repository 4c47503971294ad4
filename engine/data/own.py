"""Datasets of one's own: JSONL files in the data folder, whole or not there, the replaced ones kept."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine import paths
from engine.data.lines import unreadable
from engine.data.paste import pair_in
from engine.files import write_atomic
from engine.protocol.data import OwnRows, QAPair, SavedRows
from engine.protocol.errors import EngineError, fault

NAME_LIMIT = 60
DIGITS = 12
"""Of a version: the start of the SHA-256 of a file's bytes."""
KEPT = 5
"""Versions of a file that stay beside it."""
PAGE = 500_000
"""Bytes of pairs in one answer at most."""


def folder() -> Path:
    """Where they lie; made when it is asked for. Raises EngineError `data_unwritable`."""
    path = paths.data_dir() / "datasets"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def path_of(name: str) -> Path:
    """The file of this name; raises EngineError `data_name` for one that is no name."""
    plain = re.sub(r"[^\w.-]+", "-", name.strip().removesuffix(".jsonl")).strip("-.")[:NAME_LIMIT]
    if not plain:
        raise fault("data_name", "The dataset has no name", remedy="Give it one of letters and digits")
    return folder() / f"{plain}.jsonl"


def save(name: str, pairs: Sequence[QAPair], system: str = "") -> SavedRows:
    """Write the pairs in place of what was there, which stays beside them by its version.

    Raises EngineError `data_empty`, `data_name`, `data_unwritable`.
    """
    lines = _lines(pairs, system)
    return keep(path_of(name), b"".join(lines), len(lines))


def append(name: str, pairs: Sequence[QAPair], system: str = "") -> SavedRows:
    """Add the pairs behind what is there. Raises as `save` does, and EngineError `data_unreadable`."""
    path, lines = path_of(name), _lines(pairs, system)
    before = _bytes(path) if path.exists() else b""
    if before and not before.endswith(b"\n"):
        before += b"\n"
    _write(path, before + b"".join(lines))
    return SavedRows(str(path), before.count(b"\n") + len(lines), version(before + b"".join(lines)))


def read(name: str, offset: int = 0) -> OwnRows:
    """The plain pairs from the `offset`th on, as many as fit in one answer."""
    path = path_of(name)
    found = [
        pair_in(number, line) for number, line in enumerate(_bytes(path).splitlines(), 1) if line.strip()
    ]
    pairs = [pair for pair in found if isinstance(pair, QAPair)]
    page: list[QAPair] = []
    room = PAGE
    for pair in pairs[offset:]:
        room -= len(msgspec.json.encode(pair))
        if room < 0 and page:
            break
        page.append(pair)
    return OwnRows(str(path), tuple(page), len(found) - len(pairs), offset + len(page) < len(pairs))


def keep(path: Path, content: bytes, rows: int) -> SavedRows:
    """Write a file; one that it replaces, and that holds something else, is renamed to its version first."""
    if path.exists():
        old = _bytes(path)
        if old != content:
            _write(path.with_name(f"{path.stem}.{version(old)}.jsonl"), old)
            _forget_old(path)
    _write(path, content)
    return SavedRows(str(path), rows, version(content))


def _forget_old(path: Path) -> None:
    """Delete what was replaced, but for the last KEPT: a file is saved while it is typed."""
    older = re.compile(re.escape(path.stem) + rf"\.[0-9a-f]{{{DIGITS}}}\.jsonl")
    try:
        found = [each for each in path.parent.iterdir() if older.fullmatch(each.name)]
        found.sort(key=lambda each: each.stat().st_mtime_ns, reverse=True)
        for each in found[KEPT:]:
            each.unlink()
    except OSError:  # they only take room
        return


def version(content: bytes) -> str:
    """The first digits of the SHA-256 of these bytes."""
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def _lines(pairs: Sequence[QAPair], system: str) -> list[bytes]:
    head = [{"role": "system", "content": system}] if system.strip() else []
    kept = [pair for pair in pairs if pair.question.strip() and pair.answer.strip()]
    if not kept:
        raise fault(
            "data_empty", "There is no question with an answer to save", remedy="Fill in one row at least"
        )
    return [
        msgspec.json.encode(
            {
                "messages": [
                    *head,
                    {"role": "user", "content": pair.question},
                    {"role": "assistant", "content": pair.answer},
                ]
            }
        )
        + b"\n"
        for pair in kept
    ]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomic(path, content)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> EngineError:
    return fault(
        "data_unwritable",
        f"{path} could not be written",
        error.strerror or str(error),
        "Make room on the disk, or make the folder writable",
    )
