"""A chat's first title: the beginning of what was asked."""

from __future__ import annotations

import re
import unicodedata

WIDTH = 60
"""Terminal cells of a title at most."""
_JOINERS = "\u200c\u200d"
_SWITCH = re.compile(r"(?:/(?:no_?)?think\s+)+|\s+/(?:no_?)?think$")
"""Qwen's soft switches are no part of a question."""
_SIGNS = re.compile(r"^(?:#{1,6}|>+|[-*+•]|\d{1,3}[.)])\s+")
"""What begins a heading, a quotation or a list in Markdown."""
_FENCE = re.compile(r"(?:`{3,}|~{3,})\S*")


def title_of(text: str) -> str:
    """The first line with words, in at most 60 cells, cut between words and then marked with an ellipsis.

    White space is collapsed; control, format and bidi characters are removed, and so are Markdown's signs at
    the beginning. A text without words gives its first line; an empty one nothing.
    """
    without_words = ""
    for line in text.splitlines():
        title = " ".join("".join(map(_clean, line)).split())
        plain = _SIGNS.sub("", _SWITCH.sub("", title), count=1)
        if any(map(str.isalnum, plain)) and not _FENCE.fullmatch(title):
            return _shorten(plain)
        without_words = without_words or title
    return _shorten(without_words)


def cells(text: str) -> int:
    """Terminal cells that a text takes: two for wide characters, none for combining ones."""
    return sum(map(_cells, text))


def _clean(character: str) -> str:
    if character.isspace():
        return " "
    if unicodedata.category(character).startswith("C") and character not in _JOINERS:
        return ""
    return character


def _shorten(title: str) -> str:
    if cells(title) <= WIDTH:
        return title
    room = WIDTH - 1
    end = 0
    for character in title:
        room -= _cells(character)
        if room < 0:
            break
        end += 1
    cut = title[:end]
    if not title[end].isspace():
        # A word longer than half the title, or a script without spaces, is cut where it stands.
        space = cut.rfind(" ")
        cut = cut[:space] if space > len(cut) // 2 else cut
    return cut.rstrip() + "…"


def _cells(character: str) -> int:
    if character in _JOINERS or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
