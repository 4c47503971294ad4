"""`qwill runs compare A B …`: what differs and what came of it, as a table, or the curves side by side."""

from __future__ import annotations

import argparse
from typing import Any

from engine.api import Client, commands, fault, runs
from tui.cli import output
from tui.cli.follow import whole_curve
from tui.cli.run_rows import find
from tui.curve import Curve
from tui.overlay import AXES, Axis, at_place, extent, series_of
from tui.run_diff import differing, sentence, values_of
from tui.run_export import TableForm, rows_of, text_of
from tui.run_filter import parse
from tui.run_view import place_words, value_words

PLACES = 10
"""Rows of the curves' table."""


async def run(client: Client, args: argparse.Namespace) -> int:
    """Print one form; `--by` adds the losses at the same places of an axis."""
    found = await _meant(client, args)
    form: TableForm | None = "markdown" if args.md else "csv" if args.csv else "latex" if args.latex else None
    if args.json:
        output.say_json(await _facts(client, found, args.by))
    elif form is not None:
        print(text_of(found, form), end="")  # its cells are clean already
    else:
        output.table(rows_of(found))
        for each in found[1:]:
            output.say(f"{found[0].name} to {each.name}: {sentence(found[0], each)}")
        if args.by:
            await _curves(client, found, args)
    return 0


async def _meant(client: Client, args: argparse.Namespace) -> list[runs.RunInfo]:
    """The runs that were named, and those that the filter lets through, each once."""
    found = [await find(client, ref) for ref in args.runs]
    if args.filter:
        filtered = parse(args.filter)
        if filtered.fault:
            raise fault("usage", "The filter cannot be read", filtered.fault)
        known: commands.RunList = await client.request(commands.ListRuns())
        found += filtered.keep(list(known.runs))
    found = list({each.id: each for each in found}.values())
    if len(found) < 2:
        raise fault("usage", "Comparing takes two runs or more", remedy="`qwill runs list` names them")
    return found


async def _curve(client: Client, info: runs.RunInfo) -> Curve:
    curve = Curve()
    curve.extend(*await whole_curve(client, info))
    return curve


async def _curves(client: Client, found: list[runs.RunInfo], args: argparse.Namespace) -> None:
    """The metric at ten places of the axis, a column a run; empty where a run was not there."""
    axis: Axis = next(known for known in AXES if known == args.by)
    lines = [series_of(await _curve(client, each), args.metric, axis) for each in found]
    low, high = extent(lines)
    rows = [[args.by, *(each.name for each in found)]]
    for at in range(PLACES + 1):
        x = low + (high - low) * at / PLACES
        near = [at_place(each, x) if each.xs and x <= each.xs[-1] * 1.001 else None for each in lines]
        cells = ["" if point is None else value_words(args.metric, point[1]) for point in near]
        rows.append([place_words(axis, x), *cells])
    output.say("")
    output.table(rows, right=range(1, len(found) + 1))


async def _facts(client: Client, found: list[runs.RunInfo], by: str) -> dict[str, Any]:
    """What `--json` prints."""
    axis: Axis | None = next((known for known in AXES if known == by), None)
    every = [await _row(client, each, axis) for each in found]
    differences = {
        each.key: [output.plain(values_of(info)[each.key]) for info in found] for each in differing(found)
    }
    changed = {each.id: sentence(found[0], each) for each in found[1:]}
    return {"runs": every, "differences": differences, "changed": changed}


async def _row(client: Client, info: runs.RunInfo, axis: Axis | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "id": info.id,
        "name": info.name,
        "state": info.state,
        "loss": info.loss,
        "eval_loss": info.eval_loss,
        "best_eval": info.best_eval,
        "seconds": info.took if info.ended and info.started else None,
        "peak": info.peak,
        "tags": list(info.tags),
        "spec": output.plain(info.spec),
    }
    if axis is not None:
        curve = await _curve(client, info)
        for metric in ("loss", "eval"):
            series = series_of(curve, metric, axis)
            points = zip(series.xs, series.ys, strict=True)
            facts[metric + "_curve"] = [[x, y if y == y else None] for x, y in points]
    return facts
