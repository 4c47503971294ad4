"""Frames with only what differs from the screen: over a network most of a repainted line is news to nobody.

Textual paints whole stretches of a line, each piece with all of its style and a reset. What the terminal
shows is known here, cell by cell, so that a frame can leave out the cells that are as they were, and say of a
style only what changes. Characters whose width terminals disagree on are passed on as they came, and their
line is not known from there on.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

Cell = tuple[str, str] | None
"""A character with its style as SGR parameters; None where it is not known what the terminal shows."""
AFTER: Cell = ("", "")
"""The right half of a wide character."""
JOIN = 4
"""Unchanged cells that are cheaper to send again than to step over."""

_TOKEN = re.compile(r"\x1b\[(\d+);(\d+)H|\x1b\[([\d;]*)m|(\n)|([^\x1b\n]+)|(\x1b)")
# Characters that every terminal shows one cell wide: no emoji, nothing that combines.
_NARROW = re.compile(
    r"[ -~\u00a0-\u00ac\u00ae-\u02ff\u0370-\u0482\u048a-\u052f\u2010-\u2015\u2018-\u201f\u2020-\u2027"
    r"\u2030-\u203b\u2190-\u2193\u2194-\u21ff\u2200-\u22ff\u2500-\u25fc\u25ff\u2713\u2717\u2800-\u28ff]*\Z"
)
# And those that are two cells wide everywhere: kana, CJK, Hangul, their punctuation and full-width forms.
_WIDE = re.compile(
    r"[\u3001-\u3029\u3031-\u303c\u3041-\u3096\u309b-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff60]"
)
_OFF = {"1": "22", "2": "22", "3": "23", "4": "24", "5": "25", "7": "27", "8": "28", "9": "29", "53": "55"}
"""What ends each attribute."""


class Run(NamedTuple):
    """What one move of the cursor is followed by: cells, or text as it came."""

    y: int
    x: int
    cells: list[Cell]
    raw: str


class Thin:
    """The cells of one terminal, and frames made smaller by what is known of them."""

    def __init__(self) -> None:
        self._lines: dict[int, list[Cell]] = {}
        self._cursor = ""
        self._size = (0, 0)

    def forget(self) -> None:
        """Whatever the terminal shows now, it is not known: another program or another size."""
        self._lines.clear()
        self._cursor = ""

    def frame(self, data: str, size: tuple[int, int] = (0, 0)) -> str:
        """A frame that shows the same as this one; empty where nothing differs.

        `size` is the terminal's: one that has changed may have moved or cut anything. What is not made of
        absolute moves, styles and text comes back as it is, and nothing is known any more.
        """
        if size != self._size:
            self._size = size
            self.forget()
        runs = _runs(data)
        if runs is None:
            self.forget()
            return data
        out, cursor = _Writer(), ""
        for run in runs:
            cursor = f"\x1b[{run.y};{run.x}H"
            if run.raw:
                out.pass_on(cursor, run.raw)
                del self._line(run.y, run.x - 1)[run.x - 1 :]
            elif run.cells:
                self._change(out, run)
        text = out.finish()
        if not text and cursor == self._cursor:
            return ""
        self._cursor = cursor
        return text + cursor

    def _line(self, y: int, length: int) -> list[Cell]:
        """What is known of a line, at least so many cells of it."""
        line = self._lines.setdefault(y, [])
        if len(line) < length:
            line += [None] * (length - len(line))
        return line

    def _change(self, out: _Writer, run: Run) -> None:
        """Write the cells that are not as they were, and note them all."""
        start, end = run.x - 1, run.x - 1 + len(run.cells)
        line = self._line(run.y, end)
        for first, last in _stretches(line[start:end], run.cells):
            out.put(run.y, run.x + first, run.cells[first:last])
        if start and line[start] is AFTER and run.cells[0] is not AFTER:
            line[start - 1] = None  # a wide character that lost its right half
        if end < len(line) and line[end] is AFTER and run.cells[-1] is not AFTER:
            line[end] = None
        line[start:end] = run.cells


def _runs(data: str) -> list[Run] | None:
    """The frame in parts; None where it holds something else than moves, styles and text."""
    runs: list[Run] = []
    style, raw, known = "", "", True
    for match in _TOKEN.finditer(data):
        row, column, sgr, newline, text, other = match.groups()
        if other:
            return None
        if row:
            runs.append(Run(int(row), int(column), [], ""))
            raw, known = "", True
        elif sgr is not None:
            style = "" if sgr in ("", "0") else sgr
            raw += match[0]
        elif text:
            if not runs:
                return None
            raw += text
            cells = _cells(text, style) if known else None
            known = cells is not None
            if cells is None:
                runs[-1] = Run(runs[-1].y, runs[-1].x, [], raw)
            else:
                runs[-1].cells.extend(cells)
    return runs


def _cells(text: str, style: str) -> list[Cell] | None:
    """One for each column; None where the width is not sure."""
    if _NARROW.match(text):
        return [(char, style) for char in text]
    cells: list[Cell] = []
    for char in text:
        if _NARROW.match(char):
            cells.append((char, style))
        elif _WIDE.match(char):
            cells += [(char, style), AFTER]
        else:
            return None
    return cells


def _stretches(old: list[Cell], new: list[Cell]) -> list[tuple[int, int]]:
    """Where the new cells differ; neighbours are joined, and wide characters stay whole."""
    found: list[tuple[int, int]] = []
    for at, (before, after) in enumerate(zip(old, new, strict=True)):
        if before is not None and before == after:
            continue
        first, last = at, at + 1
        if after is AFTER and at:
            first -= 1
        if last < len(new) and new[last] is AFTER:
            last += 1
        if found and first - found[-1][1] <= JOIN:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


class _Writer:
    """Puts a frame together: the shortest moves, and of each style only what changes."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._style = ""
        self._at = (0, 0)
        """Line and column of the cursor; (0, 0) is not known."""

    def put(self, y: int, x: int, cells: list[Cell]) -> None:
        """Cells at a place of the screen, from 1."""
        if self._at != (y, x):
            ahead = x - self._at[1]
            near = self._at[0] == y and ahead > 0
            self._parts.append(f"\x1b[{ahead}C" if near else f"\x1b[{y};{x}H")
        for cell in cells:
            if cell is None or cell is AFTER:
                continue
            char, style = cell
            if style != self._style:
                self._parts.append(change(self._style, style))
                self._style = style
            self._parts.append(char)
        self._at = (y, x + len(cells))

    def pass_on(self, move: str, text: str) -> None:
        """Text with its own styles; where it ends is not known."""
        self._reset()
        self._parts += [move, text, "\x1b[0m"]
        self._at = (0, 0)

    def finish(self) -> str:
        """The frame; the style is the plain one again."""
        self._reset()
        return "".join(self._parts)

    def _reset(self) -> None:
        if self._style:
            self._parts.append("\x1b[0m")
            self._style = ""


@lru_cache(4096)
def change(old: str, new: str) -> str:
    """The sequence that turns one style into another; both are parameters of SGR (ECMA-48, 8.3.117)."""
    if not new:
        return "\x1b[0m"
    before, after = _parsed(old), _parsed(new)
    gone = before.flags - after.flags
    if gone & {"1", "2"} and after.flags & {"1", "2"}:  # one code ends both
        return f"\x1b[0;{new}m"
    codes = sorted({_OFF.get(flag, "0") for flag in gone})
    if "0" in codes:
        return f"\x1b[0;{new}m"
    codes += sorted(after.flags - before.flags)
    if before.front != after.front:
        codes.append(after.front or "39")
    if before.back != after.back:
        codes.append(after.back or "49")
    return f"\x1b[{';'.join(codes)}m" if codes else ""


class _Style(NamedTuple):
    flags: frozenset[str]
    front: str
    back: str


@lru_cache(4096)
def _parsed(style: str) -> _Style:
    flags, front, back = set(), "", ""
    codes = iter(style.split(";") if style else ())
    for code in codes:
        if code in ("38", "48"):
            kind = next(codes, "")
            rest = [next(codes, "") for _ in range(3 if kind == "2" else 1)]
            colour = ";".join([code, kind, *rest])
            front, back = (colour, back) if code == "38" else (front, colour)
        elif re.fullmatch("3[0-79]|9[0-7]", code):
            front = "" if code == "39" else code
        elif re.fullmatch("4[0-79]|10[0-7]", code):
            back = "" if code == "49" else code
        else:
            flags.add(code)
    return _Style(frozenset(flags), front, back)
