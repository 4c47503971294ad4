"""A row's tokens on lines for the mask preview: what is learnt stands between marks. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len

from engine.api import commands
from tui.inspection import cut
from tui.text import clean

OPENS, CLOSES = "▌", "▐"
"""Stand around what is learnt, so that it reads without colour too."""
_SPECIAL = re.compile(r"<\|(.{1,64}?)\|>", re.DOTALL)


class Piece(NamedTuple):
    """A text of one style on one line."""

    text: str
    labelled: bool = False
    mark: bool = False


def shown(text: str) -> str:
    """A token as it is shown: `<|im_end|>` as ‹im_end›, a line end as ↵, a tab as ⇥."""
    text = _SPECIAL.sub(r"‹\1›", text)
    text = text.replace("\r\n", "↵\n").replace("\r", "␍")
    return clean(re.sub(r"(?<!↵)\n", "↵\n", text).replace("\t", "⇥"))


def lay_out(tokens: Sequence[commands.MaskToken], width: int) -> list[tuple[Piece, ...]]:
    """The tokens on lines of at most `width` cells, broken between words where that is possible."""
    lines: list[list[Piece]] = [[]]
    used = 0
    for piece in _words(_stretches(tokens)):
        text = piece.text.removesuffix("\n")
        for part in cut(text, max(2, width)) if text else ():
            size = cell_len(part)
            if used + size > width and lines[-1]:
                lines.append([])
                used = 0
            lines[-1].append(piece._replace(text=part))
            used += size
        if piece.text.endswith("\n"):
            lines.append([])
            used = 0
    return [tuple(each) for each in lines if each]


def _stretches(tokens: Iterable[commands.MaskToken]) -> Iterable[Piece]:
    """Neighbours of one kind as one text, with the marks around what is learnt."""
    text, labelled = "", False
    for token in tokens:
        if token.labelled != labelled:
            if text:
                yield Piece(shown(text), labelled)
            yield Piece(OPENS if token.labelled else CLOSES, mark=True)
            text, labelled = "", token.labelled
        text += token.text
    if text:
        yield Piece(shown(text), labelled)
    if labelled:
        yield Piece(CLOSES, mark=True)


def _words(pieces: Iterable[Piece]) -> Iterable[Piece]:
    """Each with its white space before it; one that ends its line ends in a line end."""
    for piece in pieces:
        for word in re.findall(r" *[^ \n]*\n?", piece.text):
            if word:
                yield piece._replace(text=word)
