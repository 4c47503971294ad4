"""Helpers for widgets that paint themselves line by line."""

from __future__ import annotations

from textual.content import Content

from tui.text import clean_name

Piece = str | tuple[str, str]
"""A text, or a text with its style."""


def line(*pieces: Piece | Content) -> Content:
    """Pieces one after the other; the texts are taken as they are, never as markup."""
    return Content.assemble(*pieces)


def spread(left: Content, right: Content, width: int) -> Content:
    """One line of this width with `right` at its end; where both do not fit, `left` is cut."""
    room = width - right.cell_length
    if room <= 1:
        return left.truncate(max(0, width), ellipsis=True)
    if left.cell_length > room - 1:
        left = left.truncate(room - 1, ellipsis=True)
    return left.pad_right(room - left.cell_length) + right


def stack(lines: list[Content]) -> Content:
    """Lines one below the other."""
    return Content("\n").join(lines)


def name(text: str) -> str:
    """A name from outside, safe to paint on one line."""
    return clean_name(text)
