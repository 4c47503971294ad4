"""Two tracks side by side: their peaks, how many times less, what held them, and each phase."""

from __future__ import annotations

from textual.content import Content

from tui.format import size
from tui.glyphs import stacked
from tui.memory_view import Track
from tui.memory_words import GLYPHS, PARTS, UNKNOWN, parts_of, times_less
from tui.overlay_cells import colour, letter
from tui.text import clean_name
from tui.widgets.lines import line, spread

NUMBER = 10
"""Columns of a size."""


def track_colour(track: Track) -> str:
    """A run's own colour, as among the runs; the engine has the screen's."""
    return colour(track.run) if track.run else "$accent"


def compare_section(tracks: list[Track], width: int) -> list[Content]:
    """Of exactly two tracks; the bars have one scale, so that half as long is half as much."""
    peaks = [track.peak() for track in tracks]
    top = max(1, *(peak for peak, _ in peaks))
    lines = [line((" AT THE PEAK", "$thought"))]
    for number, (track, (peak, phase)) in enumerate(zip(tracks, peaks, strict=True)):
        style = track_colour(track)
        title = line(" ", (letter(number), f"bold {style}"), (f" {clean_name(track.name)}", "$foreground"))
        lines.append(spread(title, line((size(peak), "bold"), " "), width))
        shares = [(GLYPHS[part], held / top) for part, held in parts_of(track.holdings).items()]
        told = sum(share for _, share in shares)
        rest = [] if told >= peak / top else [("▓" if not shares else "·", peak / top - told)]
        where = f" in {phase}" if phase else ""
        room = max(4, width - 17)
        bar = stacked([*shares, *rest], room, " ")
        lines.append(line("   ", (bar, style), (where, "$thought")).truncate(width, ellipsis=True))
    lines += _verdict(peaks[0][0], peaks[1][0], width)
    lines += _parts(tracks, width) + _phases(tracks, width)
    return lines


def verdict(one: int, other: int) -> str:
    """`b held 4.0 times less: 23.9 G saved`."""
    words = times_less(one, other)
    if not words:
        return ""
    if words == "as much":
        return "both held as much"
    gap = f"{size(abs(one - other))} {'saved' if other < one else 'more'}"
    return f"b held {words}: {gap}"


def _verdict(one: int, other: int, width: int) -> list[Content]:
    words = verdict(one, other)
    return [line((f"   {words}", "bold")).truncate(width, ellipsis=True), line("")] if words else [line("")]


def _parts(tracks: list[Track], width: int) -> list[Content]:
    """What each part took, at the two peaks."""
    found = [parts_of(track.holdings) for track in tracks]
    named = [part for part in PARTS if any(part in each for each in found)]
    if not named:
        return []
    lines = [_heads("WHAT IT WAS", width)]
    for part in named:
        numbers = "".join(f"{size(each[part]) if part in each else UNKNOWN:>{NUMBER}}" for each in found)
        label = line(" ", (GLYPHS[part], "$accent"), (f" {PARTS[part]}", "$thought"))
        lines.append(spread(label, line(numbers, " "), width))
    return [*lines, line("")]


def _phases(tracks: list[Track], width: int) -> list[Content]:
    found = [{each.phase: each.peak for each in track.phases()} for track in tracks]
    named = list(dict.fromkeys(phase for each in found for phase in each))
    if not named:
        return []
    lines = [_heads("PEAKS BY PHASE", width)]
    for phase in named:
        numbers = "".join(f"{size(each[phase]) if phase in each else UNKNOWN:>{NUMBER}}" for each in found)
        lines.append(spread(line((f"   {phase}", "$thought")), line(numbers, " "), width))
    return lines


def _heads(title: str, width: int) -> Content:
    heads = "".join(f"{letter(number):>{NUMBER}}" for number in range(2))
    return spread(line((f" {title}", "$thought")), line((f"{heads} ", "$thought")), width)
