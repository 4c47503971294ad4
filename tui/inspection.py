"""A reply's tokens as a person walks over them: the cursor, what is uncertain, how they fill lines."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.cells import cell_len

from engine.api import commands, specs
from tui.text import clean

UNLIKELY = 0.5
"""Below this probability a token is marked as uncertain."""
OPEN = 2.0
"""Bits of entropy (four even choices) from which a token is uncertain, however likely it was itself."""
NOTHING = "·"
"""Stands for a token that shows nothing by itself, such as the first half of a character."""
_VISIBLE = str.maketrans({" ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍", "\u00a0": "␣"})


def uncertain(fact: commands.TokenFact) -> bool:
    """Whether another token could well have stood there."""
    return fact.probability < UNLIKELY or fact.entropy >= OPEN


def visible(text: str) -> str:
    """A token's text on one line by itself: white space as signs, nothing that could command a terminal."""
    shown = clean(text.translate(_VISIBLE))
    if cell_len(shown):
        return shown
    # A mark without its letter would fall on whatever stands before it.
    return f"◌{shown}" if any(unicodedata.category(sign).startswith("M") for sign in shown) else NOTHING


@dataclass
class Walk:
    """What of a reply has been read so far, and the place in it."""

    tokens: list[commands.TokenFact] = field(default_factory=list)
    total: int = 0
    at: int = 0
    choice: int = 0
    """Row of `options` under the cursor."""

    @property
    def fact(self) -> commands.TokenFact | None:
        """The token under the cursor."""
        return self.tokens[self.at] if self.tokens else None

    def options(self) -> list[commands.Alternative]:
        """What could have stood there, best first; what stands there is among them in any case."""
        fact = self.fact
        if fact is None:
            return []
        found = list(fact.alternatives)
        if all(option.id != fact.id for option in found):
            found.append(commands.Alternative(fact.id, fact.text, fact.probability))
        return found

    @property
    def chosen(self) -> commands.Alternative | None:
        """The alternative under the cursor."""
        options = self.options()
        return options[self.choice] if options else None

    def go(self, at: int) -> None:
        """To a token, as near as there is; its own row of the alternatives is chosen."""
        self.at = min(len(self.tokens) - 1, max(0, at)) if self.tokens else 0
        taken = self.fact
        self.choice = next(
            (row for row, each in enumerate(self.options()) if taken and each.id == taken.id), 0
        )

    def choose(self, by: int) -> None:
        """Another alternative."""
        self.choice = min(len(self.options()) - 1, max(0, self.choice + by))

    def next_uncertain(self, by: int) -> bool:
        """To the next (1) or previous (-1) uncertain token; False when there is none."""
        place = self.at + by
        while 0 <= place < len(self.tokens):
            if uncertain(self.tokens[place]):
                self.go(place)
                return True
            place += by
        return False

    def least_certain(self) -> None:
        """To the token at which the model was least certain; from there on to the next of them."""
        ranked = sorted(range(len(self.tokens)), key=lambda place: -self.tokens[place].entropy)
        if ranked:
            follows = ranked.index(self.at) + 1 if self._jumped == self.at else 0
            self.go(ranked[follows % len(ranked)])
            self._jumped = self.at

    _jumped: int = -1


class Piece(NamedTuple):
    """A stretch of one token on one line."""

    token: int
    text: str


class Row(NamedTuple):
    """One line of the reply."""

    part: specs.Part
    pieces: tuple[Piece, ...]


def lay_out(tokens: Sequence[commands.TokenFact], width: int) -> list[Row]:
    """The tokens on lines of at most `width` cells, broken between words where that is possible.

    A line end is shown as ↵ and then taken; the thought and the answer begin on lines of their own.
    """
    lines = _Lines(max(2, width))
    for part, word in _words(tokens):
        lines.add(part, word)
    return lines.done()


class _Lines:
    """Lines while they are filled."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._rows: list[Row] = []
        self._pieces: list[Piece] = []
        self._used = 0
        self._part: specs.Part | None = None

    def add(self, part: specs.Part, word: list[Piece]) -> None:
        if part != self._part:
            self._break()
            self._part = part
        wide = sum(cell_len(piece.text) for piece in word)
        if self._pieces and self._used + wide > self._width:
            self._break()
        for piece in word:
            for text in cut(piece.text, self._width):
                size = cell_len(text)
                if self._used + size > self._width:
                    self._break()
                self._pieces.append(Piece(piece.token, text))
                self._used += size
            if piece.text.endswith("↵"):
                self._break()

    def done(self) -> list[Row]:
        self._break()
        return self._rows

    def _break(self) -> None:
        if self._pieces and self._part is not None:
            self._rows.append(Row(self._part, tuple(self._pieces)))
        self._pieces, self._used = [], 0


def _words(tokens: Sequence[commands.TokenFact]) -> Iterator[tuple[specs.Part, list[Piece]]]:
    """Pieces that stand together on a line: a word begins with white space, and ends with its line."""
    word: list[Piece] = []
    part: specs.Part = "answer"
    for place, fact in enumerate(tokens):
        if word and fact.part != part:
            yield part, word
            word = []
        part = fact.part
        for text in _stretches(fact.text):
            if word and text.startswith(" "):
                yield part, word
                word = []
            word.append(Piece(place, text))
            if text.endswith("↵"):
                yield part, word
                word = []
    if word:
        yield part, word


def _stretches(text: str) -> list[str]:
    """A token's text up to and with each line end, cleaned; never nothing."""
    shown = [clean(line.replace("\t", "⇥").replace("\r", "␍")) for line in text.split("\n")]
    ended = [f"{line}↵" for line in shown[:-1]]
    rest = [shown[-1]] if shown[-1] or not ended else []
    return [*ended, *rest] if any([*ended, *rest]) else [NOTHING]


def cut(text: str, width: int) -> list[str]:
    """Pieces of at most `width` cells; one of an empty text."""
    if cell_len(text) <= width:
        return [text]
    pieces, piece, used = [], "", 0
    for sign in text:
        size = cell_len(sign)
        if used + size > width:
            pieces.append(piece)
            piece, used = "", 0
        piece += sign
        used += size
    return [*pieces, piece]
