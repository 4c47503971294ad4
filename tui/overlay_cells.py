"""Lines as braille cells on a canvas: the newest is opaque, each has a letter beside its colour. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tui.glyphs import BLOCKS, Range
from tui.overlay import Column

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a braille cell's left and right column, from the top."""
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
COLOURS = (
    "#3b8eea",
    "#d9822b",
    "#2fa36b",
    "#c05bc0",
    "#d9534f",
    "#1fa2a8",
    "#a08a1a",
    "#7d74e0",
    "#b8688a",
    "#6f9426",
)
"""Of a run's line, by its number; each is seen on a dark and on a light ground."""
Cell = tuple[str, str]
"""A character and its style."""
SPACING = 26
"""Columns between two letters on one line."""


def letter(number: int) -> str:
    """The sign of the line with this number; beyond sixty they come again."""
    return LETTERS[number % len(LETTERS)]


def colour(run: str) -> str:
    """A run's colour, the same whenever and beside whatever it is drawn; by the number its id begins with."""
    digits = run.partition("-")[0]
    number = int(digits) if digits.isdecimal() and digits.isascii() else sum(map(ord, run))
    return COLOURS[number % len(COLOURS)]


def bits(line: Sequence[Column | None], height: int, y: Range) -> list[list[int]]:
    """Rows of braille bits; `line` has two columns a cell. Neighbours are joined but across a gap."""
    width = (len(line) + 1) // 2
    cells = [[0] * width for _ in range(max(0, height))]
    if not cells:
        return cells
    levels = height * 4
    before: tuple[int, int] | None = None
    for at, column in enumerate(line):
        if column is None:
            continue
        low, high = _level(column.low, y, levels), _level(column.high, y, levels)
        first, last = _level(column.first, y, levels), _level(column.last, y, levels)
        if before is not None and not column.broken:
            _join(cells, before, (at, first))
        _fill(cells, at, low, high)
        before = (at, last)
    return cells


def row_of(value: float, height: int, y: Range) -> int:
    """The row from the top that a value falls into."""
    return height - 1 - _level(value, y, height)


def filled(line: Sequence[Column | None]) -> list[Column | None]:
    """A column between two measured ones goes on as the one before; what was no number stays a gap."""
    found = list(line)
    there = [at for at, column in enumerate(found) if column is not None]
    for at, after in zip(there, there[1:], strict=False):
        following = found[after]
        if following is not None and not following.broken:
            found[at + 1 : after] = [found[at]] * (after - at - 1)
    return found


def spark(line: Sequence[Column | None]) -> str:
    """One block a column, from 0 to the highest; a space where there is nothing."""
    top = max((column.high for column in line if column is not None), default=0.0)
    steps = len(BLOCKS) - 1
    return "".join(
        " " if column is None or top <= 0 else BLOCKS[max(1, min(steps, round(column.high / top * steps)))]
        for column in line
    )


class Canvas:
    """Rows of cells that lines, letters and marks are put on."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = max(0, width), max(0, height)
        self.rows: list[list[Cell]] = [[(" ", "")] * self.width for _ in range(self.height)]

    def draw(self, found: list[list[int]], style: str) -> None:
        """A line over everything that was drawn before."""
        for y, row in enumerate(found[: self.height]):
            shown = self.rows[y]
            for x, cell in enumerate(row[: self.width]):
                if cell:
                    shown[x] = (chr(0x2800 + cell), style)

    def name(self, found: list[list[int]], sign: str, style: str, shift: int = 0) -> None:
        """A letter on a line's last cell, and on some before it; `shift` keeps those of two lines apart."""
        there = {x: y for y, row in enumerate(found) for x, cell in enumerate(row) if cell}
        if not there:
            return
        places = range(4 + shift * 3 % SPACING, max(there) - 3, SPACING)
        for x in (*places, self._free_end(there)):
            if x in there and x < self.width:
                self.put(x, there[x], sign, style)

    def put(self, x: int, y: int, sign: str, style: str) -> None:
        """One character; outside nothing happens."""
        if 0 <= x < self.width and 0 <= y < self.height:
            self.rows[y][x] = (sign, style)

    def upright(self, x: int, style: str) -> None:
        """A thin line from top to bottom, behind what is there."""
        for row in self.rows:
            if 0 <= x < self.width and row[x][0] in (" ", "⠀"):
                row[x] = ("│", style)

    def _free_end(self, there: dict[int, int]) -> int:
        """The line's last cell that has no other line's letter."""
        for x in sorted(there, reverse=True)[:12]:
            if x < self.width and not self.rows[there[x]][x][0].isalnum():
                return x
        return max(there)


def runs_of(row: Iterable[Cell]) -> list[Cell]:
    """Neighbouring cells of one style as one piece."""
    pieces: list[Cell] = []
    for sign, style in row:
        if pieces and pieces[-1][1] == style:
            pieces[-1] = (pieces[-1][0] + sign, style)
        else:
            pieces.append((sign, style))
    return pieces


def _level(value: float, y: Range, count: int) -> int:
    low, high = y
    if high <= low:
        return count // 2
    return min(count - 1, int(min(1.0, max(0.0, (value - low) / (high - low))) * count))


def _join(cells: list[list[int]], left: tuple[int, int], right: tuple[int, int]) -> None:
    """The columns between two points, each as high as the line is steep there."""
    (start, from_level), (end, to_level) = left, right
    span = end - start
    for step in range(span):
        a = round(from_level + (to_level - from_level) * step / span)
        b = round(from_level + (to_level - from_level) * (step + 1) / span)
        middle = (a + b) // 2
        _fill(cells, start + step, min(a, middle), max(a, middle))
        _fill(cells, start + step + 1, min(b, middle), max(b, middle))


def _fill(cells: list[list[int]], column: int, low: int, high: int) -> None:
    height = len(cells) * 4
    for level in range(low, high + 1):
        line = height - 1 - level
        cells[line // 4][column // 2] |= _DOTS[column % 2][line % 4]
