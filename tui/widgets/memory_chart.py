"""Memory, speed and loss under each other on one time axis, with phases, crosshair and a second run."""

from __future__ import annotations

import math
import time

from textual.content import Content

from tui.format import rate, seconds, size
from tui.glyphs import Range, needles
from tui.memory_view import MemoryView, Strip, Track, area_of, round_top, series_of, strips_of, used_of
from tui.memory_words import times_less
from tui.overlay import Column, columns, scale_of
from tui.overlay_cells import Canvas, bits, filled, letter, runs_of
from tui.run_values import loss
from tui.widgets.lines import Piece, line, spread
from tui.widgets.memory_compare import track_colour
from tui.widgets.painted import Painted
from tui.widgets.run_lines import phase_marks

SCALE = 7
"""Columns of the numbers to the left."""
TITLES: dict[Strip, str] = {"memory": "memory", "speed": "tokens/s", "loss": "loss"}
BEHIND = 2.5
"""How many times ours everybody's use may be where it is drawn, too: else ours would lie at the bottom."""
SHARES: dict[Strip, float] = {"memory": 0.55, "speed": 0.17, "loss": 0.28}
"""Of the rows, as far as all three are there."""


class MemoryChart(Painted):
    """One strip a number; what has no room is left out: speed first, then loss."""

    DEFAULT_CSS = """
    MemoryChart {
        width: 1fr;
        height: 1fr;
        background: $background;
    }
    """

    def __init__(self, view: MemoryView) -> None:
        super().__init__()
        self._view = view

    @property
    def columns_wide(self) -> int:
        """Columns that the curves have."""
        return max(1, self.size.width - SCALE - 2)

    def lines(self, width: int, height: int) -> list[Content]:
        """The strips, the phases, and the axis."""
        tracks = self._view.tracks
        if not any(track.points for track in tracks):
            return [_rule(line(("memory", "bold")), line(""), width), line(("   no reading yet", "$thought"))]
        room = max(1, width - SCALE - 2)
        tail = self._tail(room) if height >= 7 else []
        strips = fitting(strips_of(tracks), height - len(tail))
        rows = heights(strips, height - len(tail) - len(strips))
        found: list[Content] = []
        for strip, count in zip(strips, rows, strict=True):
            found.append(_rule(*self._head(strip), width))
            found += self._memory(room, count) if strip == "memory" else self._lines(strip, room, count)
        return [*found, *tail][:height]

    # --- a strip's heading: what it shows at the crosshair, or now ----------------------------------

    def _head(self, strip: Strip) -> tuple[Content, Content]:
        view = self._view
        pieces: list[Piece] = [(TITLES[strip], "bold")]
        if strip == "memory" and view.cross is not None:
            pieces.append((f"  {self._where()} ┆", "$thought"))
        values: list[int] = []
        for number, track in enumerate(view.tracks):
            point = view.reading(track)
            if len(view.tracks) > 1:
                pieces += ["  ", (letter(number), f"bold {track_colour(track)}")]
            if point is None:
                pieces.append((" –", "$thought"))
                continue
            values.append(point.held)
            if strip == "memory":
                pieces.append(f" {size(point.held)}")
                if point.most and point.high > point.held * 1.01 and len(view.tracks) == 1:
                    pieces.append((f" ({size(point.low)} to {size(point.high)})", "$thought"))
            elif strip == "speed":
                pieces.append(f" {rate(point.speed).removesuffix(' tok/s')}" if point.speed else " –")
            else:
                pieces.append(f" {loss(point.loss)}" if point.loss is not None else " –")
        if strip == "memory" and len(values) == 2 and times_less(*values):
            pieces.append((f"  {times_less(*values)}", "$thought"))
        return line(*pieces), self._manner() if strip == "memory" else line("")

    def _where(self) -> str:
        """The crosshair's place: the time of day of the engine, else since the run's beginning."""
        view, track = self._view, self._view.tracks[0]
        at = view.cross or 0.0
        if track.run or len(view.tracks) > 1:
            return seconds(at)
        return _time_of_day(track.start + at)

    def _manner(self) -> Content:
        low, high = self._view.window
        return line((f" zoom {1 / (high - low):.3g}× ", "$thought")) if high - low < 1 else line("")

    # --- curves -------------------------------------------------------------------------------------

    def _memory(self, width: int, height: int) -> list[Content]:
        """One track: an area with needles, and what everybody used behind it; two: a line each."""
        view, x = self._view, self._view.x()
        if len(view.tracks) > 1:
            return self._lines("memory", width, height)
        track = view.tracks[0]
        area = filled(area_of(track, width, x))
        behind = columns(used_of(track), 2 * width, x) if view.tracks[0].pool or not track.run else []
        ours = max((column.high for column in area if column is not None), default=0.0)
        most = max((column.high for column in behind if column is not None), default=0.0)
        near = most <= BEHIND * ours
        top = round_top(most if near and most > ours else ours)
        canvas = Canvas(width, height)
        if near:
            canvas.draw(bits(filled(behind), height, (0.0, top)), "$thought")
        canvas.draw(
            needles([(each.low, each.high) if each else None for each in area], height, top), "$accent"
        )
        return self._finish(canvas, (0.0, top), "memory")

    def _lines(self, strip: Strip, width: int, height: int) -> list[Content]:
        view, x = self._view, self._view.x()
        found = [filled(_columns(track, strip, 2 * width, x)) for track in view.tracks]
        scale = _scale(strip, found)
        canvas = Canvas(width, height)
        drawn = []
        for number, (track, each) in enumerate(zip(view.tracks, found, strict=True)):
            cells = bits(each, height, scale)
            style = track_colour(track) if len(view.tracks) > 1 else "$accent"
            canvas.draw(cells, style)
            drawn.append((number, cells, style))
        for number, cells, style in drawn if len(view.tracks) > 1 else []:
            canvas.name(cells, letter(number), style, shift=number)
        return self._finish(canvas, scale, strip)

    def _finish(self, canvas: Canvas, scale: Range, strip: Strip) -> list[Content]:
        """The crosshair behind the curves, and the scale beside them."""
        low, high = self._view.x()
        cross = self._view.cross
        if cross is not None and low <= cross <= high:
            column = int((cross - low) / (high - low) * canvas.width)
            canvas.upright(min(canvas.width - 1, column), "$thought")
        labels = _labels(strip, scale, canvas.height)
        return [
            line((f"{labels.get(at, ''):>{SCALE}} ", "$thought"), *runs_of(row))
            for at, row in enumerate(canvas.rows)
        ]

    # --- below --------------------------------------------------------------------------------------

    def _tail(self, width: int) -> list[Content]:
        """Where each phase begins, of each track, and the axis."""
        view, (low, high) = self._view, self._view.x()
        lines = []
        for number, track in enumerate(view.tracks):
            ticks = phase_marks(track.marks, width, (track.start + low, track.start + high))
            if ticks.strip():
                sign = letter(number) if len(view.tracks) > 1 else ""
                lines.append(line((f"{sign:>{SCALE}} ", track_colour(track)), (ticks, "$thought")))
        return [*lines, self._axis(width)]

    def _axis(self, width: int) -> Content:
        view, (low, high) = self._view, self._view.x()
        track = view.tracks[0]
        if track.run or len(view.tracks) > 1:
            first, last = "0 s" if low < 1 else seconds(low), seconds(high)
        else:
            first, last = _time_of_day(track.start + low), _time_of_day(track.start + high)
        peak, phase = track.peak()
        words = f"peak {size(peak)}" + (f" in {phase}" if phase else "") if len(view.tracks) == 1 else ""
        room = max(0, width - len(first) - len(last) - 1)
        start = line((f"{first}{words if len(words) < room else '':^{room}}", "$thought"))
        return line(" " * (SCALE + 1)) + spread(start, line((last, "$thought")), width)


def _time_of_day(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def fitting(strips: list[Strip], height: int) -> list[Strip]:
    """The strips for which there are three rows each, their heading included."""
    kept = list(strips)
    for strip in ("speed", "loss"):
        if height < 4 * len(kept) and strip in kept:
            kept.remove(strip)
    return kept


def heights(strips: list[Strip], rows: int) -> list[int]:
    """Rows of each strip, by its share; memory takes what is left over."""
    whole = sum(SHARES[strip] for strip in strips)
    counts = [max(1, int(rows * SHARES[strip] / whole)) for strip in strips]
    counts[0] = max(1, rows - sum(counts[1:]))
    return counts


def _columns(track: Track, strip: Strip, width: int, x: Range) -> list[Column | None]:
    return area_of(track, width, x) if strip == "memory" else columns(series_of(track, strip), width, x)


def _scale(strip: Strip, found: list[list[Column | None]]) -> Range:
    if strip == "loss":
        return scale_of(found)
    highest = max((column.high for each in found for column in each if column is not None), default=0.0)
    return 0.0, round_top(highest, binary=strip == "memory")


def _labels(strip: Strip, scale: Range, rows: int) -> dict[int, str]:
    """Quarters or halves of the scale, by the row at whose upper edge they are."""
    parts = 4 if rows >= 12 else 2 if rows >= 5 else 1
    steps = [(round(part * rows / parts), 1 - part / parts) for part in range(parts)]
    return {row: _label(strip, scale[0] + (scale[1] - scale[0]) * share) for row, share in steps}


def _label(strip: Strip, value: float) -> str:
    if strip == "memory":
        return size(round(value)) if value >= 1 else "0"
    if strip == "speed":
        return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
    return f"{value:.2f}" if math.isfinite(value) else ""


def _rule(left: Content, right: Content, width: int) -> Content:
    """`── memory 6.1 G ────────────── zoom 4× ──`."""
    start = line(("── ", "$rule")) + left
    dashes = "─" * max(0, width - start.cell_length - right.cell_length - 3)
    return (start + line((f" {dashes}", "$rule")) + right + line(("──", "$rule"))).truncate(width)
