"""A text file as rows: a paragraph each, or all of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

LIMIT = 1 << 20
"""Characters of a row at most: a longer stretch goes on in the next one."""


def paragraphs(path: Path, *, whole: bool = False) -> Iterator[tuple[int, str]]:
    """(line, text) of each row; bytes that are no UTF-8 come as lone surrogates. Raises OSError."""
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        held: list[str] = []
        size, first, number = 0, 1, 0
        while line := file.readline(LIMIT):
            number += 1
            ends = not whole and not line.strip()
            if (ends or size + len(line) > LIMIT) and held:
                yield first, "".join(held).strip("\n")
                held, size = [], 0
            if ends:
                continue
            first = first if held else number
            held.append(line)
            size += len(line)
        if any(line.strip() for line in held):
            yield first, "".join(held).strip("\n")
