"""What stands beside the memory chart: pools, what holds them, torch's own numbers, how short it is."""

from __future__ import annotations

import textwrap

from textual.content import Content

from engine.api import memory, specs
from tui.format import percent, plural, size
from tui.glyphs import stacked
from tui.memory_view import Track
from tui.memory_words import (
    GLYPHS,
    PARTS,
    UNKNOWN,
    all_parts,
    amount,
    basis_words,
    is_set_aside,
    labels_of,
    place_words,
    strain_words,
    waiting_words,
)
from tui.state import EngineState
from tui.text import clean, clean_name
from tui.widgets.lines import Piece, line, spread

COLUMN = 7
"""Columns of a number."""
NUMBERS = ("used", "ours", "others", "up to")


def pools_section(sample: specs.MonitorSample, width: int, *, sources: bool) -> list[Content]:
    """A pool a row, the main one first; with `sources` where each number comes from."""
    pools = sample.pools or plain_pools(sample)
    heads = "".join(f"{word:>{COLUMN}}" for word in NUMBERS)
    lines = [spread(line((" POOLS", "$thought")), line((f"GiB{heads} ", "$thought")), width)]
    for pool in sorted(pools, key=lambda each: is_set_aside(each, sample)):
        if is_set_aside(pool, sample):
            words = f"   {amount(pool.total)} G {place_words(pool, width - 12)}"
            lines.append(line((words, "$thought")).truncate(width, ellipsis=True))
        else:
            lines += _pool(pool, width)
        if pool.why:
            lines += _wrapped(pool.why, width)
        if sources and pool.source:
            lines += _wrapped(f"from {pool.source}", width)
    return lines


def plain_pools(sample: specs.MonitorSample) -> tuple[memory.Pool, ...]:
    """The pools that an engine without pools tells of after all."""
    used = sample.ram_total - sample.ram_available
    ours = min(used, sample.engine_rss)
    room = sample.ram_available + ours
    found = [memory.Pool("ram", "ram", "RAM", "", sample.ram_total, used, ours, room, main=True)]
    for number, gpu in enumerate(sample.gpus):
        if gpu.vram_total is not None:
            id_ = f"gpu{number}.vram"
            found.append(memory.Pool(id_, "vram", "", gpu.name, gpu.vram_total, gpu.vram_used))
        if gpu.gtt_total is not None:
            found.append(memory.Pool(f"gpu{number}.gtt", "gtt", "", gpu.name, gpu.gtt_total, gpu.gtt_used))
    return tuple(found)


def _pool(pool: memory.Pool, width: int) -> list[Content]:
    """Its name, and below it the bar with the numbers: ours, others, free."""
    mark = ("●", "$accent") if pool.main else ("○", "$thought")
    basis = basis_words(pool)
    title = line(" ", mark, f" {place_words(pool, width - len(basis) - 6)}")
    numbers = "".join(
        f"{amount(count):>{COLUMN}}" for count in (pool.used, pool.ours, pool.others, pool.ceiling)
    )
    room = max(0, width - len(numbers) - 5)
    bar = _bar(pool, room)
    row = line("   ", (bar, "$accent"), " " * (room - len(bar)), numbers, " ")
    return [spread(title, line((f"{basis} ", "$thought")), width), row]


def _bar(pool: memory.Pool, width: int) -> str:
    if pool.used is None or not pool.total:
        return ""
    ours = min(pool.used, pool.ours or 0)
    others = pool.used - ours
    return stacked([("▓", ours / pool.total), ("▒", others / pool.total)], width, "░")


# --- what holds it ----------------------------------------------------------------------------------


def held_now(engine: EngineState, sample: specs.MonitorSample) -> tuple[memory.Holding, ...]:
    """What the engine tells, else at least the loaded models."""
    if sample.holdings:
        return sample.holdings
    ready = [each for each in engine.models.values() if each.state == "ready" and each.memory]
    return tuple(memory.Holding("model", each.memory, each.name) for each in ready)


def all_held(engine: EngineState, sample: specs.MonitorSample, width: int) -> list[list[Content]]:
    """A section for the main pool, and one for each other pool in which something of ours lies."""
    holdings = held_now(engine, sample)
    pools = sample.pools or plain_pools(sample)[:1]
    sections = []
    for pool in pools:
        here = tuple(each for each in holdings if each.pool in (pool.id, "" if pool.main else pool.id))
        title = "HELD BY" if pool.main else f"HELD IN {place_words(pool, width - 20)}"
        sections.append(holds_section(here, pool.ours, title, width))
    return sections


def holds_section(
    holdings: tuple[memory.Holding, ...], ours: int | None, title: str, width: int
) -> list[Content]:
    """One bar of all of it, and a row for each part; what is left is the program itself."""
    parts = all_parts(holdings, ours)
    whole = max(1, sum(parts.values()))
    if not parts:
        return []
    head = spread(line((f" {title}", "$thought")), line((f"{size(whole)} ", "$thought")), width)
    bar = stacked([(GLYPHS[part], held / whole) for part, held in parts.items()], width - 2)
    lines = [head, line(" ", (bar, "$accent"))]
    for part, held in parts.items():
        words = labels_of(holdings, part) or ("program and libraries" if part == "other" else "")
        row = line(
            " ", (GLYPHS[part], "$accent"), f" {PARTS[part]:<12}{size(held):>7}", (f"  {words}", "$thought")
        )
        lines.append(row.truncate(width, ellipsis=True))
    return lines


def torch_section(found: tuple[memory.TorchMemory, ...], width: int) -> list[Content]:
    """What torch says of each device; what went wrong only where something did."""
    if not found:
        return []
    heads = "".join(f"{word:>10}" for word in ("tensors", "kept", "peak"))
    lines = [spread(line((" TORCH", "$thought")), line((f"{heads} ", "$thought")), width)]
    for each in found:
        numbers = "".join(f"{size(count):>10}" for count in (each.allocated, each.reserved, each.peak))
        lines.append(spread(line(f"   {clean_name(each.device)}"), line(f"{numbers} "), width))
        troubles = [f"{size(each.fragmented)} in pieces"] if each.fragmented else []
        troubles += [f"{each.retries:,} times cleared to find room"] if each.retries else []
        troubles += [f"ran out {plural(each.ooms, 'time')}"] if each.ooms else []
        if troubles:
            lines += _wrapped(" · ".join(troubles), width)
    return lines


# --- how short it is ---------------------------------------------------------------------------------


def strain_section(sample: specs.MonitorSample, width: int, *, sources: bool) -> list[Content]:
    """Calm or not, in words; how long programs waited; swap, shared memory and the container's limit."""
    words, warns = strain_words(sample)
    mark: Piece = (f"! {words} " if warns else "calm ", "$warning" if warns else "$thought")
    lines = [spread(line((" SHORT OF MEMORY?", "$thought")), line(mark), width)]
    if warns and sample.strain.why:
        wrapped = textwrap.wrap(clean(sample.strain.why), max(10, width - 5))
        lines += [line((f"   {text}", "$warning")) for text in wrapped]
    for label, value, source in _strains(sample):
        lines.append(spread(line((f"   {label}", "$thought")), line(f"{value} "), width))
        if sources:
            lines += _wrapped(f"from {source}", width)
    return lines


def _strains(sample: specs.MonitorSample) -> list[tuple[str, str, str]]:
    """Label, value and source of each row."""
    swap = f"{size(sample.swap_used)} of {size(sample.swap_total)}" if sample.swap_total else "none"
    rows = [("swap", swap, "/proc/meminfo: SwapTotal - SwapFree")]
    pressure = sample.pressure
    if pressure is None:
        rows.append(("pressure", f"{UNKNOWN} the kernel does not tell", "/proc/pressure/memory"))
    else:
        both = f"{percent(pressure.some10 / 100)} of 10 s · {percent(pressure.some60 / 100)} of a minute"
        rows.append(("waited", both, "/proc/pressure/memory: some avg10, avg60"))
        if pressure.full60 or pressure.full10:
            rows.append(("all at once", waiting_words(pressure), "/proc/pressure/memory: full avg10"))
    if sample.limit:
        held = size(sample.limit_used) if sample.limit_used is not None else UNKNOWN
        limit = f"{held} of {size(sample.limit)}"
        rows.append(("this container", limit, "cgroup: memory.current, memory.max"))
    if sample.engine_pss is not None:
        rows.append(("engine, its fair share", size(sample.engine_pss), "/proc/PID/smaps_rollup: Pss"))
    if sample.shm_total:
        used = f"{size(sample.shm_used or 0)} of {size(sample.shm_total)}"
        rows.append(("/dev/shm", used, "statvfs of /dev/shm"))
    if sample.shmem:
        rows.append(("shared between programs", size(sample.shmem), "/proc/meminfo: Shmem"))
    return rows


# --- over time -----------------------------------------------------------------------------------------


def phases_section(track: Track, width: int) -> list[Content]:
    """What each phase took at its highest; the highest of all is marked."""
    found = track.phases()
    if not found:
        return []
    top = max(each.peak for each in found)
    lines = [line((f" PEAKS BY PHASE · {clean_name(track.name)}", "$thought")).truncate(width, ellipsis=True)]
    for each in found:
        times = f" × {each.times}" if each.times > 1 else ""
        bar = stacked([("▓", each.peak / top)], max(4, width - 29), "░")
        row = line((f"   {each.phase + times:<16}", "$thought"), (bar, "$accent"), f"{size(each.peak):>8} ")
        lines.append(row + line("◂" if each.peak == top else " "))
    return lines


def _wrapped(words: str, width: int) -> list[Content]:
    texts = textwrap.wrap(clean(words), max(10, width - 5))
    return [line((f"   {text}", "$thought")) for text in texts]
