"""MEMORY in the right pane: the main pool first, then RAM and swap, what was held lately, and by what."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from textual.content import Content

from engine.api import memory, specs
from tui.curve import Curve, Moment
from tui.format import gib, size
from tui.glyphs import Range, bar, dotted, needles
from tui.memory_points import main_pool, phase_at
from tui.memory_words import (
    LABELS,
    all_parts,
    amount,
    is_set_aside,
    place_words,
    strain_words,
)
from tui.state import EngineState
from tui.text import clean
from tui.widgets.lines import Piece, line, name, spread
from tui.widgets.run_lines import memory_peak, phase_marks, shown_run

LABEL = 8
BUCKETS = (5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600)
"""Seconds of a column: it stands still while its stretch lasts, so that a second repaints one cell."""
_SHORT: dict[memory.Part, str] = {
    "model": "model",
    "cache": "cache",
    "adapter": "adapt",
    "optimiser": "optim",
    "activations": "activ",
    "other": "other",
}
"""Parts, two of which stand on a line."""
ROOMY = 34
"""Rows of the pane from which on it tells what holds the bytes."""


def number_row(
    label: str, value: str, share: float | None, total: str, width: int, *, scarce: bool = True
) -> Content:
    """`  label   6.1 ▓▓░░ 15.2`: every number under the one above. What is `scarce` warns near its end."""
    pieces: list[Piece] = [(f"  {label:<{LABEL - 2}}", "$thought"), f"{value:>5}"]
    if share is not None:
        style = "$warning" if scarce and share > 0.9 else "$accent"
        pieces += [" ", (bar(share, max(3, width - LABEL - 5 - 2 - 6)), style)]
    return spread(line(*pieces), line((f"{total} ", "$thought")), width)


def memory_section(
    engine: EngineState, sample: specs.MonitorSample, width: int, height: int
) -> list[Content]:
    """What stands under the heading; without pools what every engine tells."""
    pool = main_pool(sample)
    if pool is None:
        return [*_plain(sample, width), *history(engine, width, 1)]
    lines = [] if pool.kind == "ram" else [line((f"  {place_words(pool, width - 3)}", "$foreground"))]
    lines += [*_main(pool, width), *_ram(sample, width), *_swap(sample, width)]
    lines += _strain(sample, width) + history(engine, width, 2 if height >= ROOMY else 1)
    return lines + (_holdings(sample.holdings, pool, width) if height >= ROOMY else [])


def _plain(sample: specs.MonitorSample, width: int) -> list[Content]:
    """RAM and what the engine holds of it."""
    used = sample.ram_total - sample.ram_available
    total = max(1, sample.ram_total)
    others = max(0, used - sample.engine_rss)
    return [
        number_row("engine", gib(sample.engine_rss), sample.engine_rss / total, "", width),
        number_row("others", gib(others), others / total, "", width),
        number_row("RAM", gib(used), used / total, gib(sample.ram_total), width),
        *_swap(sample, width),
    ]


def _main(pool: memory.Pool, width: int) -> list[Content]:
    """Ours against what it can grow to, and the others; what is unknown is a dash with its reason."""
    top = pool.ceiling if pool.ceiling is not None else pool.total
    share = pool.ours / top if pool.ours is not None and top else None
    lines = [number_row("ours", amount(pool.ours), share, gib(top) if top else "", width)]
    known = pool.others is not None and pool.total
    others = pool.others / pool.total if known and pool.others is not None and pool.total else None
    lines.append(number_row("others", amount(pool.others), others, "", width, scarce=False))
    if pool.why:
        lines.append(line((f"  {name(pool.why)}", "$thought")).truncate(width, ellipsis=True))
    return lines


def _ram(sample: specs.MonitorSample, width: int) -> list[Content]:
    used = sample.ram_total - sample.ram_available
    share = used / max(1, sample.ram_total)
    lines = [number_row("RAM", gib(used), share, gib(sample.ram_total), width)]
    if sample.limit:
        held = sample.limit_used
        part = held / sample.limit if held is not None else None
        lines.append(number_row("limit", amount(held), part, gib(sample.limit), width))
    return lines


def _swap(sample: specs.MonitorSample, width: int) -> list[Content]:
    if not sample.swap_used:
        return [number_row("swap", "0", None, "", width)]
    share = sample.swap_used / sample.swap_total if sample.swap_total else None
    return [number_row("swap", gib(sample.swap_used), share, "", width)]


def _strain(sample: specs.MonitorSample, width: int) -> list[Content]:
    """Nothing while it is calm, that programs waited in one quiet line, else a sentence that warns."""
    words, warns = strain_words(sample)
    if words == "calm":
        return []
    if not warns:
        quiet = words.removeprefix("calm, ")
        return [line((f"  {quiet}", "$thought")).truncate(width, ellipsis=True)]
    why = clean(sample.strain.why) or f"Memory is {words}."
    return [line((f"  {each}", "$warning")) for each in textwrap.wrap(f"! {why}", max(10, width - 3))[:3]]


def _holdings(holdings: tuple[memory.Holding, ...], pool: memory.Pool, width: int) -> list[Content]:
    """What model, cache, adapter, optimiser and activations hold of the main pool, two on a line."""
    parts = all_parts(tuple(each for each in holdings if each.pool in ("", pool.id)), pool.ours)
    cells = [f"{_SHORT[part]:<6}{size(held).replace(' ', ''):>5}" for part, held in parts.items()]
    rows = ["  ".join(cells[at : at + 2]) for at in range(0, len(cells), 2)]
    return [line((f"  {row}", "$thought")).truncate(width, ellipsis=True) for row in rows]


def other_pools(sample: specs.MonitorSample, gpu: int, width: int) -> list[Content]:
    """A GPU's pools that are not the main one; what the firmware set aside is small and never warns."""
    lines: list[Content] = []
    for pool in sample.pools:
        if pool.main or not pool.id.startswith(f"gpu{gpu}."):
            continue
        if is_set_aside(pool, sample):
            words = f"  {amount(pool.total)} set aside by firmware"
            lines.append(line((words, "$thought")).truncate(width, ellipsis=True))
            continue
        share = pool.used / pool.total if pool.used is not None and pool.total else None
        total = gib(pool.total) if pool.total else ""
        lines.append(number_row(LABELS[pool.kind], amount(pool.used), share, total, width))
        if pool.used is None and pool.why:
            lines.append(line((f"  {name(pool.why)}", "$thought")).truncate(width, ellipsis=True))
    return lines


# --- what was held lately -----------------------------------------------------------------------


def history(engine: EngineState, width: int, height: int) -> list[Content]:
    """What was held lately with every peak in it, the run's phases under it, and the highest of all."""
    room = width - 3
    if len(engine.memory) < 2 or room < 8:
        return []
    span, bucket = stretch(engine, room)
    columns = buckets(engine.memory, span, bucket, room)
    top = max((column[1] for column in columns if column), default=0.0)
    lines = [line("  ", (row, "$accent")) for row in dotted(needles(columns, height, top))]
    run = shown_run(engine)
    curve = engine.curves.get(run.id) if run is not None else None
    pool = main_pool(engine.monitor) if engine.monitor is not None else None
    resident = pool is None or pool.kind == "ram"
    if curve is not None and curve.marks:
        ticks = phase_marks(curve.marks, room, span)
        if ticks.strip():
            lines.append(line((f"  {ticks}", "$thought")))
    return [*lines, *_peak(engine, curve, span, resident)]


def stretch(engine: EngineState, room: int) -> tuple[Range, int]:
    """From when to when, and the seconds of a column: the run's whole time while there is a fresh one."""
    newest = engine.memory[-1].at
    run = shown_run(engine)
    wanted = float(BUCKETS[0] * room)
    if run is not None and run.started and (run.state == "running" or run.ended > newest - wanted):
        wanted = max(wanted, newest - max(run.started, engine.memory[0].at))
    bucket = next((each for each in BUCKETS if each * (room - 1) >= wanted - each), BUCKETS[-1])
    end = math.floor(newest / bucket) * bucket + bucket
    return (float(end - bucket * room), float(end)), bucket


def buckets(
    moments: Sequence[Moment], span: Range, bucket: int, room: int
) -> list[tuple[float, float] | None]:
    """The least and the most of each column; one between two measured ones goes on as the one before."""
    found: list[tuple[float, float] | None] = [None] * room
    last = -1
    for moment in moments:
        at = int((moment.at - span[0]) // bucket)
        if 0 <= at < room:
            low, high = found[at] or (moment.low, moment.high)
            found[at] = min(low, moment.low), max(high, moment.high)
            last = max(last, at)
    for at in range(1, last):
        found[at] = found[at] or found[at - 1]
    return found


def _peak(engine: EngineState, curve: Curve | None, span: Range, resident: bool) -> list[Content]:
    """`peak 6.9 G in eval`, of the run; else of the time that is shown. Only what is `resident` is in a
    run's own log."""
    shown = [moment for moment in engine.memory if moment.at >= span[0]]
    highest = max(shown, key=lambda moment: moment.high)
    peak, phase = highest.high, phase_at(curve.marks, highest.at) if curve is not None else ""
    if resident and curve is not None:
        logged, named = memory_peak(curve)
        peak, phase = (logged, named) if logged >= peak else (peak, phase)
    words = (f" in {phase}", "$thought") if phase else ""
    return [line(("  peak ", "$thought"), size(peak), words)]
