"""A reply's tokens on lines, tinted by how likely each was; the one under the cursor in brackets."""

from __future__ import annotations

from textual.content import Content

from engine.api import commands
from tui.inspection import Piece, Row, Walk, lay_out, uncertain, visible
from tui.widgets.lines import line
from tui.widgets.painted import Painted

GUTTER = {"thinking": " ┊ ", "answer": "   "}
EDGE = 6
"""Columns of the gutter, of a pair of brackets, and of the free one at the right."""
_TINTS = ((0.9, ""), (0.5, "on $warning 14%"), (0.1, "on $warning 30%"), (0.0, "on $warning 52%"))
"""From which probability on which ground."""


class TokenText(Painted, can_focus=True):
    """The cursor's line stays in sight."""

    DEFAULT_CSS = """
    TokenText {
        height: 1fr;
        padding: 1 0 0 0;
    }
    TokenText.-low {
        padding: 0;
    }
    """

    def __init__(self, walk: Walk) -> None:
        super().__init__()
        self._walk = walk
        self._laid: tuple[int, int] = (-1, -1)
        self._rows: list[Row] = []
        self._line_of: dict[int, int] = {}
        self._ends: dict[int, Piece] = {}
        """The last piece of each token."""
        self._top = 0

    def page(self, by: int) -> None:
        """Move the cursor by a screenful of lines."""
        height = max(1, self.size.height - 1)
        here = self._line_of.get(self._walk.at, 0)
        there = min(len(self._rows) - 1, max(0, here + by * height))
        if self._rows:
            pieces = self._rows[there].pieces
            self._walk.go(pieces[0].token if by < 0 or there > here else pieces[-1].token)

    def lines(self, width: int, height: int) -> list[Content]:
        """The lines around the cursor."""
        self._lay_out(width - EDGE)
        here = self._line_of.get(self._walk.at, 0)
        # One line of what came before stays above the cursor's, as far as there is room.
        margin = 1 if height > 2 else 0
        self._top = min(self._top, max(0, here - margin))
        self._top = max(self._top, here + 1 + margin - height, 0)
        self._top = min(self._top, max(0, len(self._rows) - height))
        numbers = range(self._top, min(len(self._rows), self._top + height))
        return [self._line(number, self._rows[number]) for number in numbers]

    def _lay_out(self, width: int) -> None:
        if self._laid == (len(self._walk.tokens), width):
            return
        self._laid = (len(self._walk.tokens), width)
        self._rows = lay_out(self._walk.tokens, width)
        self._line_of, self._ends = {}, {}
        for number, row in enumerate(self._rows):
            for piece in row.pieces:
                self._line_of.setdefault(piece.token, number)
                self._ends[piece.token] = piece

    def _line(self, number: int, row: Row) -> Content:
        content = line((GUTTER[row.part], "$thought"))
        before = -1
        for piece in row.pieces:
            style = tint(self._walk.tokens[piece.token])
            if piece.token != self._walk.at:
                content += line((piece.text, style))
            else:
                opens = before != piece.token and self._line_of[piece.token] == number
                content += _bracketed(piece, style, opens=opens, closes=self._ends[piece.token] is piece)
            before = piece.token
        return content


def _bracketed(piece: Piece, style: str, *, opens: bool, closes: bool) -> Content:
    """The piece under the cursor; the space before a word stays outside of the brackets."""
    text = piece.text
    word = text.lstrip(" ")
    if not word or visible(word) != word:
        word = visible(text)  # white space alone, and marks that need a letter before them
    space = " " if text.startswith(" ") and word != visible(text) else ""
    edges = ("[" if opens else "", "]" if closes else "")
    return line(space, (edges[0], "bold $accent"), (word, f"bold {style}"), (edges[1], "bold $accent"))


def tint(fact: commands.TokenFact) -> str:
    """A token's style: the less likely, the stronger its ground; uncertain ones are underlined."""
    ground = next(style for least, style in _TINTS if fact.probability >= least)
    quiet = "$thought" if fact.part == "thinking" else ""
    return " ".join(each for each in (quiet, "underline" if uncertain(fact) else "", ground) if each)
