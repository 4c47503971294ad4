"""Cuts a file into the pieces that hold a chat each, so that one bad piece costs one chat."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\]"]', re.DOTALL)
_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"


@dataclass(frozen=True)
class Piece:
    """Some bytes of a file that should be one JSON value."""

    data: bytes
    place: str
    end: int
    """Where it ends in the file, to tell how far one is."""


def pieces(data: bytes) -> Iterator[Piece]:
    """The elements of a top-level list, else the lines of JSONL, else the whole file."""
    start = len(_BOM) if data.startswith(_BOM) else 0
    while start < len(data) and data[start] in _SPACE:
        start += 1
    if start == len(data):
        return
    if _is_lines(data, start):
        yield from _lines(data, start)
    elif data[start : start + 1] == b"[":
        yield from _elements(data, start)
    else:
        yield Piece(data[start:], "the file", len(data))


def _is_lines(data: bytes, start: int) -> bool:
    """Whether each line is a value: one of the first three is an object by itself, and others follow."""
    at = start
    for _ in range(3):
        end = data.find(b"\n", at)
        if end < 0:
            return False
        line = data[at:end].strip()
        if line[:1] == b"{" and line[-1:] == b"}" and _is_json(line) and data[end:].strip():
            return True
        at = end + 1
    return False


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _lines(data: bytes, start: int) -> Iterator[Piece]:
    number = data.count(b"\n", 0, start)
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        number += 1
        if line := data[start:end].strip():
            yield Piece(line, f"line {number}", end)
        start = end + 1


def _elements(data: bytes, start: int) -> Iterator[Piece]:
    depth, begin, number = 0, -1, 0
    for token in _TOKEN.finditer(data, start):
        kind = token[0][:1]
        if kind in b"{[":
            depth += 1
            if depth == 2:
                begin = token.start()
        elif kind in b"}]":
            depth -= 1
            if depth == 1 and begin >= 0:
                number += 1
                yield Piece(data[begin : token.end()], f"chat {number}", token.end())
                begin = -1
            elif depth <= 0:
                return
    if depth > 0:
        yield Piece(b"", f"chat {number + 1}", len(data))
