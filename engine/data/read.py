"""Read a dataset of chats: JSONL, one object a line, {"messages": [{"role", "content"}, ...]}."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from engine.data.rows import Row, Said
from engine.protocol.errors import EngineError, fault
from engine.protocol.runs import DatasetReport, Problem

LINE_LIMIT = 1 << 20
"""Bytes of one row at most."""
SHOWN = 100
"""Problems that a report carries at most; all are counted."""
ROLES = ("system", "user", "assistant")


class Bad(Exception):
    """A row that cannot be used; `key` says where."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(what)
        self.key = key
        self.what = what


def read_rows(path: Path) -> Iterator[Row | Problem]:
    """Every line as a Row or as the Problem that keeps it out; blank lines are skipped.

    Raises EngineError `data_unreadable` when the file cannot be opened.
    """
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(_lines(file), start=1):
                if line.strip():
                    yield _row(number, line)
    except OSError as error:
        raise unreadable(path, error) from error


def check(path: Path) -> DatasetReport:
    """Read all of it: rows, problems by line and key, sizes, hash. Raises EngineError `data_unreadable`."""
    rows: list[Row] = []
    problems: list[Problem] = []
    seen: dict[int, int] = {}
    for item in read_rows(path):
        if isinstance(item, Problem):
            problems.append(item)
            continue
        rows.append(item)
        first = seen.setdefault(hash(item.messages), item.line)
        if first != item.line:
            problems.append(Problem(item.line, "messages", f"the same as line {first}", fatal=False))
    return DatasetReport(
        path=str(path),
        rows=len(rows),
        problems=tuple(problems[:SHOWN]),
        problem_count=len(problems),
        turns=sum(len(row.messages) for row in rows),
        characters=sum(_size(row) for row in rows),
        labelled_characters=sum(len(m.content) for r in rows for m in r.messages if m.role == "assistant"),
        longest=max((_size(row) for row in rows), default=0),
        sha256=file_hash(path),
        first=rows[0].messages[0].content if rows else "",
    )


def usable_rows(path: Path) -> list[Row]:
    """The rows a run trains on; raises EngineError `data_empty` when there are fewer than two."""
    rows = [item for item in read_rows(path) if isinstance(item, Row)]
    if len(rows) < 2:
        found = "one usable row" if rows else "no usable row"
        raise fault(
            "data_empty",
            f"{path.name} has {found}, and a run needs at least two: one to learn from, one to be tested on",
            remedy=f"Run `qwill data check {path}` to see what is wrong with each line",
        )
    return rows


def file_hash(path: Path) -> str:
    """SHA-256 of the file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unreadable(path: Path, error: OSError) -> EngineError:
    """The fault of a dataset that cannot be opened."""
    return fault(
        "data_unreadable",
        f"{path} cannot be read",
        error.strerror or str(error),
        "Check the path; the file should be JSONL, one chat a line",
    )


def _lines(file: Any) -> Iterator[bytes]:
    while line := file.readline(LINE_LIMIT + 1):
        if len(line) > LINE_LIMIT:
            while line and not line.endswith(b"\n"):
                line = file.readline(LINE_LIMIT)
            line = b"\0"  # stands for a row that is too long; _row names it
        yield line


def _row(number: int, line: bytes) -> Row | Problem:
    try:
        if line == b"\0":
            raise Bad("", f"the line is longer than {LINE_LIMIT >> 20} MiB")
        return Row(number, _messages(_object(line)))
    except Bad as bad:
        return Problem(number, bad.key, bad.what)


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise Bad("", f"not UTF-8 at byte {error.start}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise Bad("", f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Bad("", "not an object with a `messages` list")
    return value


def _messages(row: dict[str, Any]) -> tuple[Said, ...]:
    listed = row.get("messages")
    if not isinstance(listed, list):
        keys = ", ".join(map(str, row)) or "none"
        raise Bad("messages", f"missing, or not a list (keys here: {keys[:80]})")
    said = tuple(_said(place, item) for place, item in enumerate(listed))
    while said and said[-1].role != "assistant":
        said = said[:-1]  # nothing follows it, so there is nothing to learn from it
    if not said:
        raise Bad("messages", "no assistant message to learn from")
    if not any(m.role == "user" for m in said):
        raise Bad("messages", "no user message before the answer")
    return said


def _said(place: int, item: Any) -> Said:
    where = f"messages[{place}]"
    if not isinstance(item, dict):
        raise Bad(where, "not an object")
    role, content = item.get("role"), item.get("content")
    if role not in ROLES:
        raise Bad(f"{where}.role", f"{role!r} is none of {', '.join(ROLES)}")
    if not isinstance(content, str):
        raise Bad(f"{where}.content", "missing, or not a text")
    if not content.strip():
        raise Bad(f"{where}.content", "empty")
    thinking = item.get("reasoning_content") or ""
    if not isinstance(thinking, str):
        raise Bad(f"{where}.reasoning_content", "not a text")
    return Said(role, content, thinking)


def _size(row: Row) -> int:
    return sum(len(message.content) + len(message.thinking) for message in row.messages)
