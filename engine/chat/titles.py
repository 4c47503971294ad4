"""A chat's first title: the beginning of what was asked."""

from __future__ import annotations

import unicodedata

WIDTH = 60
"""Terminal cells of a title at most."""
_JOINERS = "\u200c\u200d"


def title_of(text: str) -> str:
    """The first line with words, in at most 60 cells, cut between words and then marked with an ellipsis.

    White space is collapsed; control, format and bidi characters are removed. Empty for a text without words.
    """
    for line in text.splitlines():
        if title := " ".join("".join(map(_clean, line)).split()):
            return _shorten(title)
    return ""


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
