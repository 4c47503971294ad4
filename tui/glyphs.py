"""Small charts as pure functions: bars and sparklines out of block and braille characters."""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"
_LEFT = (0x00, 0x40, 0x44, 0x46, 0x47)
_RIGHT = (0x00, 0x80, 0xA0, 0xB0, 0xB8)


def bar(fraction: float, width: int) -> str:
    """`▓▓▓░░░`: a share of a whole. Anything above nothing shows at least one full cell."""
    if width <= 0:
        return ""
    share = min(1.0, max(0.0, fraction))
    full = round(share * width)
    if share > 0 and full == 0:
        full = 1
    return "▓" * full + "░" * (width - full)


def spark(values: Sequence[float], width: int, top: float | None = None) -> str:
    """The newest `width` values, one block character each, scaled from 0 to `top` (or to the largest)."""
    shown = list(values)[-width:] if width > 0 else []
    ceiling = top if top is not None else max(shown, default=0.0)
    if ceiling <= 0:
        return "▁" * len(shown)
    steps = len(BLOCKS) - 1
    return "".join(BLOCKS[max(1, min(steps, round(value / ceiling * steps)))] for value in shown)


def braille(values: Sequence[float], width: int, top: float | None = None) -> str:
    """Like `spark`, two values a character, four levels of dots."""
    shown = list(values)[-2 * width :] if width > 0 else []
    if len(shown) % 2:
        shown.insert(0, 0.0)
    ceiling = top if top is not None else max(shown, default=0.0)

    def level(value: float) -> int:
        return min(4, max(0, round(value / ceiling * 4))) if ceiling > 0 else 0

    return "".join(
        chr(0x2800 + _LEFT[level(left)] + _RIGHT[level(right)])
        for left, right in zip(shown[::2], shown[1::2], strict=True)
    )


Range = tuple[float, float]
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a braille cell's left and right column, from the top."""


def chart(points: Sequence[tuple[float, float]], width: int, height: int, x: Range, y: Range) -> list[str]:
    """A curve in braille: `height` rows of `width` characters over the ranges `x` and `y`.

    Every column of dots reaches from its lowest to its highest value, so that no spike is lost however many
    points fall into it; neighbours are joined. What is not a number stands at the top.
    """
    columns = _columns(points, width * 2, height * 4, x, y)
    cells = [[0] * width for _ in range(height)]
    before: tuple[int, int, int] | None = None
    for column in sorted(columns):
        low, high, first, last = columns[column]
        if before is not None:
            for between, (bottom, top) in _joined(before, (column, first)):
                _fill(cells, between, bottom, top)
        _fill(cells, column, low, high)
        before = (column, last, last)
    return ["".join(chr(0x2800 + cell) for cell in row) for row in cells]


def place(
    points: Sequence[tuple[float, float]], width: int, height: int, x: Range, y: Range
) -> list[tuple[int, int]]:
    """Row and column of the cell that each point falls into, for marks over a `chart` of the same ranges."""
    return [
        (
            height - 1 - _scaled(value, y, height),
            _scaled(at, x, width),
        )
        for at, value in points
    ]


def _columns(
    points: Sequence[tuple[float, float]], width: int, height: int, x: Range, y: Range
) -> dict[int, tuple[int, int, int, int]]:
    """Lowest, highest, first and last level of each column of dots that has points."""
    columns: dict[int, tuple[int, int, int, int]] = {}
    if width <= 0 or height <= 0:
        return columns
    for at, value in points:
        column, level = _scaled(at, x, width), _scaled(value, y, height)
        low, high, first, _ = columns.get(column, (level, level, level, level))
        columns[column] = (min(low, level), max(high, level), first, level)
    return columns


def _joined(left: tuple[int, int, int], right: tuple[int, int]) -> list[tuple[int, tuple[int, int]]]:
    """Levels of the columns between two points, each as wide as the line is steep."""
    start, from_level, _ = left
    end, to_level = right
    span = end - start
    levels = [from_level + (to_level - from_level) * step / span for step in range(span + 1)]
    joined = []
    for step in range(span):
        a, b = round(levels[step]), round(levels[step + 1])
        middle = (a + b) // 2
        joined.append((start + step, (min(a, middle), max(a, middle))))
        joined.append((start + step + 1, (min(b, middle), max(b, middle))))
    return joined


def _fill(cells: list[list[int]], column: int, low: int, high: int) -> None:
    height = len(cells) * 4
    for level in range(low, high + 1):
        line = height - 1 - level
        cells[line // 4][column // 2] |= _DOTS[column % 2][line % 4]


def _scaled(value: float, over: Range, count: int) -> int:
    """Which of `count` steps a value of the range falls into; beyond the range is its end."""
    low, high = over
    if value != value:
        return count - 1
    if high <= low:
        return count // 2
    share = min(1.0, max(0.0, (value - low) / (high - low)))
    return min(count - 1, int(share * count))


def needles(columns: Sequence[tuple[float, float] | None], height: int, top: float) -> list[list[int]]:
    """Braille bits of an area, one column of cells each: full up to the least, a needle up to the most.

    So that what was held all the time and what was held for a moment are told apart without colour.
    """
    levels = max(0, height) * 4
    cells = [[0] * len(columns) for _ in range(max(0, height))]
    for at, column in enumerate(columns):
        if column is None or top <= 0 or not levels:
            continue
        least, most = (min(levels, max(0, round(value / top * levels))) for value in column)
        for level in range(max(most, 1)):
            line = levels - 1 - level
            both = level < max(least, 1)
            cells[line // 4][at] |= _DOTS[0][line % 4] | (_DOTS[1][line % 4] if both else 0)
    return cells


def dotted(cells: Sequence[Sequence[int]]) -> list[str]:
    """Rows of braille bits as text; what is empty is a space, which takes a third of the bytes."""
    return ["".join(chr(0x2800 + cell) if cell else " " for cell in row) for row in cells]


def stacked(parts: Sequence[tuple[str, float]], width: int, free: str = " ") -> str:
    """Shares of a whole side by side, each with its own glyph; what is left of the width is `free`.

    A part of anything has at least one cell, as long as there is room.
    """
    row = ""
    done = 0.0
    for glyph, share in parts:
        if share <= 0:
            continue
        done += share
        cells = max(1, round(min(1.0, done) * width) - len(row))
        row += glyph * min(cells, max(0, width - len(row)))
    return row + free * max(0, width - len(row))
