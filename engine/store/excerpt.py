"""A piece of the original text with the hit in its middle."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from engine.store.fold import UNSPACED, fold, unspaced

AROUND = 60
"""Characters on either side of a hit."""
_SPACE = re.compile(r"\s+")
_CHUNK = 2000
_OVERLAP = 40
_HANGUL_TAILS = range(0x1160, 0x1200)


class Excerpt(NamedTuple):
    """A piece of a text on one line, and where the hit stands in it; an empty span without one."""

    words: str
    start: int
    end: int


def excerpt(text: str, terms: list[str]) -> Excerpt:
    """About 120 characters around the first of these folded words; the beginning without one."""
    start, end = find(text, terms) or (0, 0)
    left, right = max(0, start - AROUND), min(len(text), max(end, start + 1) + AROUND)
    before = ("…" if left else "") + _SPACE.sub(" ", text[left:start]).lstrip()
    hit = " ".join(text[start:end].split())
    after = _SPACE.sub(" ", text[end:right]).rstrip() + ("…" if right < len(text) else "")
    return Excerpt(before + hit + after, len(before), len(before) + len(hit))


def find(text: str, terms: list[str]) -> tuple[int, int] | None:
    """Where the first word stands that is found, as a span of the original text.

    A word is looked for where one begins; in scripts without spaces anywhere.
    """
    for term in terms:
        pattern = re.compile(
            re.escape(term) if unspaced(term) else rf"(?<![^\W_{UNSPACED}]){re.escape(term)}"
        )
        for start, chunk in _chunks(text):
            if found := pattern.search(fold(chunk)):
                first, last = _original(chunk, found.start(), found.end())
                return start + first, start + last
    return None


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """Stretches that overlap a little, so that only one of a long text has to be looked at closely."""
    for start in range(0, max(1, len(text)), _CHUNK):
        yield start, text[start : start + _CHUNK + _OVERLAP]


def _original(text: str, start: int, end: int) -> tuple[int, int]:
    """A span of `fold(text)` as a span of the text."""
    if text.isascii():
        return start, end
    at = folded = 0
    first = 0
    for cluster in _clusters(text):
        if folded <= start:
            first = at
        if folded >= end:
            break
        folded += len(fold(cluster))
        at += len(cluster)
    return first, at


def _clusters(text: str) -> Iterator[str]:
    """Characters, each with the marks that belong to it."""
    begin = 0
    for at in range(1, len(text)):
        if not _clings(text[at]):
            yield text[begin:at]
            begin = at
    yield text[begin:]


def _clings(character: str) -> bool:
    return (
        unicodedata.category(character)[0] == "M"
        or ord(character) in _HANGUL_TAILS
        or character in "\uff9e\uff9f"  # half-width voicing marks
    )
