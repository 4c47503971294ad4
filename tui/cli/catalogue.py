"""`qwill models catalogue`: the models known by name, and which of them fit here. Starts no engine."""

from __future__ import annotations

import argparse
from typing import Any

from msgspec.structs import replace

from engine.api import (
    MachineFacts,
    Pick,
    engine_settings,
    kept_free,
    learned,
    likely_devices,
    machine_facts,
    machine_sampler,
    memory_bandwidth,
    read_catalogue,
    what_fits,
)
from tui.cli import output
from tui.fit import DTYPES, SIGNS
from tui.format import parameters, size

HEADER = ("model", "params", "active", "as", "needs", "fits", "tok/s", "context", "thinking", "licence")
NUMBERS = (1, 2, 4, 6, 7)
"""Columns that are aligned on the right."""
BEST = 12
"""Lines that `--fits` prints for people."""


def run(args: argparse.Namespace) -> int:
    """Print the catalogue in its own order, or with `--fits` what fits, the best first."""
    facts = _machine(args.bandwidth * 1e9)
    reserve = engine_settings().reserve if args.keep_free is None else round(args.keep_free * (1 << 30))
    picks = _picks(args, facts, reserve)
    if args.json:
        output.say_json({"machine": output.plain(facts), "models": [plain(pick) for pick in picks]})
        return 0
    output.table([HEADER, *map(row, picks[:BEST] if args.fits else picks)], right=NUMBERS)
    for line in closing(picks, facts, reserve, fits=args.fits):
        output.say(line)
    return 0


def _machine(bandwidth: float) -> MachineFacts | None:
    """The memory now; what its RAM gives in bytes/s is measured where `bandwidth` is 0, in 0.1 s."""
    facts = machine_facts(machine_sampler().sample(), likely_devices(), bandwidth=bandwidth)
    if facts is None or facts.name or facts.bandwidth:
        return facts
    return replace(facts, bandwidth=memory_bandwidth())


def _picks(args: argparse.Namespace, facts: MachineFacts | None, reserve: int | None) -> list[Pick]:
    """All of the asked use. Without one, what fits is asked for to chat with."""
    entries = read_catalogue()
    found = what_fits(
        entries,
        facts,
        use=args.use or ("chat" if args.fits else ""),
        context=args.context,
        reserve=reserve,
        correction=learned(facts.key).factor if facts else 1.0,
    )
    if args.fits:
        return [pick for pick in found if pick.fits]
    order = {entry.id: number for number, entry in enumerate(entries)}
    return sorted(found, key=lambda pick: order[pick.entry.id])


def row(pick: Pick) -> tuple[str, ...]:
    """The cells of one model, in the order of `HEADER`."""
    entry, found = pick.entry, pick.estimate
    return (
        entry.id,
        parameters(entry.parameters),
        parameters(entry.active) if entry.active else "",
        DTYPES.get(found.kind, found.kind),
        size(found.need) if found.whole else f">{size(found.need)}",
        SIGNS[found.verdict],
        f"{found.tokens_per_s:.1f}" if found.tokens_per_s else "-",
        f"{entry.context:,}" if entry.context else "-",
        entry.thinking,
        entry.licence + (", gated" if entry.gated else ""),
    )


def closing(picks: list[Pick], facts: MachineFacts | None, reserve: int | None, *, fits: bool) -> list[str]:
    """What stands under the table: the best one and why, and what was counted with."""
    told = []
    if fits and picks:
        told.append(f"{picks[0].entry.id}: {picks[0].why}.")
    elif fits:
        told.append("Nothing fits now: close other programs, or plan for a shorter --context.")
    if facts is None:
        return told
    kept = kept_free(facts) if reserve is None else reserve
    room = f"{size(facts.free)} of {size(facts.total)} {facts.pool} are free, {size(kept)} kept free"
    planned = max((pick.estimate.context for pick in picks), default=0)
    told.append(room + (f"; for chats of up to {planned:,} tokens." if planned else "."))
    return told


def plain(pick: Pick) -> dict[str, Any]:
    """One model as plain data: its entry, and the estimate under `fit`."""
    fit = output.plain(pick.estimate) | {"why": pick.why, "merit": pick.merit}
    return output.plain(pick.entry) | {"fit": fit}
