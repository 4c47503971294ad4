"""`qwill runs memory RUN [RUN ...]`: what each phase took at most, and what the bytes were at the peak."""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

from engine.api import Client, commands, memory, runs
from tui.cli import output
from tui.cli.run_page import phases
from tui.cli.run_rows import find
from tui.format import size
from tui.glyphs import spark

WIDTH = 60
"""Characters of a curve at most."""
PARTS: tuple[memory.Part, ...] = ("model", "cache", "adapter", "optimiser", "activations", "other")


class Memory(NamedTuple):
    """One run's."""

    info: runs.RunInfo
    page: commands.MemoryPage

    @property
    def peak(self) -> int:
        """Bytes at most, over all of it."""
        marks = [max(mark.memory, mark.peak) for mark in self.page.marks]
        return max([point.most for point in self.page.points] + marks, default=0)

    @property
    def phases(self) -> dict[str, int]:
        """Bytes at most by phase, in the order they came first."""
        return {each.phase: each.peak for each in phases(self.page.marks, self.info) if each.peak}

    @property
    def parts(self) -> dict[str, int]:
        """What the bytes were at the peak."""
        held = self.page.holdings
        sums = {part: sum(each.bytes for each in held if each.part == part) for part in PARTS}
        return {part: total for part, total in sums.items() if total}


async def run(client: Client, args: argparse.Namespace) -> int:
    """One run's curve, phases and parts, or several side by side."""
    found = []
    for ref in dict.fromkeys(args.runs):
        info = await find(client, ref)
        found.append(Memory(info, await client.request(commands.ReadMemory(info.id))))
    if args.json:
        output.say_json({"runs": [_facts(each) for each in found]})
        return 0
    for each in found:
        _curve(each, alone=len(found) == 1)
    _table("phase", found, [each.phases for each in found])
    _table("at the peak", found, [each.parts for each in found])
    for each in found[1:]:
        output.say(ratio(found[0], each))
    return 0


def ratio(first: Memory, other: Memory) -> str:
    """`pirate-nf4 held 2.1 G at most, 0.26 times the 8.0 G of pirate`."""
    if not first.peak or not other.peak:
        return f"There is no memory on record to compare {other.info.name} with {first.info.name} by."
    times = other.peak / first.peak
    return (
        f"{other.info.name} held {size(other.peak)} at most, "
        f"{times:.2f} times the {size(first.peak)} of {first.info.name}."
    )


def _curve(each: Memory, *, alone: bool) -> None:
    """The most of each stretch, so that no peak is lost."""
    points = [float(point.most) for point in each.page.points]
    if not points:
        output.say(f"{each.info.id} has no memory on record yet.")
        return
    count = min(WIDTH, len(points))
    bounds = [len(points) * place // count for place in range(count + 1)]
    most = [max(points[a:b]) for a, b in zip(bounds, bounds[1:], strict=False)]
    name = "" if alone else f"{each.info.name}: "
    output.say(f"{name}{spark(most, WIDTH)}  {size(each.peak)}{_of(each.page.pool)} at most")


def _of(pool: str) -> str:
    """` of RAM`, ` of VRAM of gpu0`."""
    gpu, _, kind = pool.rpartition(".")
    return f" of {kind.upper()}{f' of {gpu}' if gpu else ''}" if pool else ""


def _table(title: str, found: list[Memory], columns: list[dict[str, int]]) -> None:
    """A row a phase or part, a column a run; empty where a run had none."""
    rows = list(dict.fromkeys(name for column in columns for name in column))
    if not rows:
        return
    print()
    head = [title, *(each.info.name for each in found)] if len(found) > 1 else [title, "most"]
    body = [[name, *(size(column[name]) if name in column else "" for column in columns)] for name in rows]
    output.table([head, *body], right=range(1, len(found) + 1))


def _facts(each: Memory) -> dict[str, Any]:
    return {
        "id": each.info.id,
        "name": each.info.name,
        "pool": each.page.pool,
        "peak": each.peak,
        "phases": each.phases,
        "holdings": output.plain(each.page.holdings),
        "points": output.plain(each.page.points),
        "marks": output.plain(each.page.marks),
    }
