"""Read a dataset row by row, whatever its file and its form; what cannot be used is named by line and key."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import msgspec

from engine.data.lines import LINE_LIMIT, records, unreadable
from engine.data.rows import AnyRow
from engine.data.said import Bad
from engine.data.shapes import row_of
from engine.protocol.runs import Problem

__all__ = ["LINE_LIMIT", "Found", "file_hash", "found_rows", "read_rows", "unreadable"]
TEXT = "text"
WHOLE = "whole"
"""`columns = {text = "whole"}` makes a text file one row; else each paragraph is one."""


class Found(msgspec.Struct, frozen=True):
    """A usable row, and what its record was."""

    form: str
    row: AnyRow
    keys: tuple[str, ...]


def found_rows(path: Path, columns: Mapping[str, str] | None = None) -> Iterator[Found | Problem]:
    """Every row with its form, or the Problem that keeps it out; holds one at a time.

    `columns`: names in the data by what they mean. Raises EngineError `data_unreadable`, `extra_missing`.
    """
    named = dict(columns or {})
    whole = named.get(TEXT) == WHOLE
    if whole:
        del named[TEXT]
    for item in records(path, whole=whole):
        if isinstance(item, Problem):
            yield item
            continue
        try:
            form, row = row_of(item.line, item.value, named)
        except Bad as bad:
            yield Problem(item.line, bad.key, bad.what)
        else:
            yield Found(form, row, tuple(map(str, islice(item.value, 50))))


def read_rows(path: Path, columns: Mapping[str, str] | None = None) -> Iterator[AnyRow | Problem]:
    """Every line as a row or as the Problem that keeps it out; blank lines are skipped."""
    for item in found_rows(path, columns):
        yield item.row if isinstance(item, Found) else item


def file_hash(path: Path) -> str:
    """SHA-256 of the file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
