"""`qwill runs export`: a run's curve as CSV or JSON lines, or into a tracker."""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from engine.api import Client, commands, fault, runs, write_atomic
from tui.cli import output
from tui.format import plural

FILES = ("csv", "jsonl")
COLUMNS = (
    "step", "epoch", "loss", "eval_loss", "rate", "grad_norm",
    "tokens", "labelled", "seconds", "at", "memory",
)  # fmt: skip
"""Of every point; its metrics follow by their own names."""


async def export(client: Client, info: runs.RunInfo, args: argparse.Namespace) -> int:
    """Write, or hand over, and say where it is."""
    if args.to in FILES:
        rows = [_row(point) async for point in _points(client, info.id)]
        text = as_csv(rows) if args.to == "csv" else "".join(f"{json.dumps(row)}\n" for row in rows)
        return _written(text, len(rows), args)
    found: commands.Tracked = await client.request(commands.TrackRun(info.id, args.to))
    if args.json:
        output.say_json({"id": info.id, "to": args.to, **output.plain(found)})
    else:
        output.say(f"{plural(found.points, 'point')} of {info.id}: {found.place}")
    return 0


def as_csv(rows: list[dict[str, Any]]) -> str:
    """With every digit; a metric that a point lacks is empty."""
    more = sorted({name for row in rows for name in row} - set(COLUMNS))
    out = io.StringIO()
    writer = csv.DictWriter(out, [*COLUMNS, *more], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _row(point: runs.StepPoint) -> dict[str, Any]:
    metrics: Mapping[str, float] = point.metrics
    return {name: getattr(point, name) for name in COLUMNS} | dict(metrics)


async def _points(client: Client, run: str) -> AsyncIterator[runs.StepPoint]:
    since, more = 0, True
    while more:
        page: commands.RunPage = await client.request(commands.ReadRun(run, since=since))
        for point in page.points:
            yield point
        more = page.more and bool(page.points)
        since = page.points[-1].step + 1 if page.points else since


def _written(text: str, count: int, args: argparse.Namespace) -> int:
    if not args.output:
        print(text, end="")
        return 0
    path = Path(args.output).expanduser().absolute()
    try:
        write_atomic(path, text.encode())
    except OSError as error:
        raise fault(
            "unwritable", f"{path} cannot be written", error.strerror or "", "Give another path"
        ) from error
    if args.json:
        output.say_json({"path": str(path), "points": count})
    else:
        output.say(f"{plural(count, 'point')}: {path}")
    return 0
