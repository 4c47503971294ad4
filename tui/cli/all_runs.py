"""`qwill runs list --all-hosts`: the runs of every place, and where each one is."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import NamedTuple

from engine.api import ErrorInfo, QwillError, Target, commands, connect, runs
from tui import hosts
from tui.cli import output, run_rows
from tui.cli.run_rows import brief, row
from tui.places import HERE

HEADER = ("where", *run_rows.HEADER)
NUMBERS = (4, 5, 6)
"""Columns that are aligned on the right."""


class Found(NamedTuple):
    """What one place says."""

    where: str
    runs: tuple[runs.RunInfo, ...] = ()
    error: ErrorInfo | None = None


async def listing(args: argparse.Namespace) -> int:
    """Those that wait or train first, then the newest; 1 when a place does not answer."""
    places = {HERE: "", **hosts.load()}
    if args.host and args.host not in places.values():
        places[hosts.called(args.host)] = args.host
    found = await asyncio.gather(*(_ask(where, address) for where, address in places.items()))
    rows = sorted(
        ((each.where, info) for each in found for info in each.runs),
        key=lambda each: (each[1].state in runs.ENDED_STATES, -each[1].created),
    )
    if args.json:
        output.say_json(
            {
                "runs": [{"where": where, **row(info)} for where, info in rows],
                "places": [{"where": each.where, "error": output.plain(each.error)} for each in found],
            }
        )
        return 1 if any(each.error for each in found) else 0
    if rows:
        output.table([HEADER, *((where, *brief(info)) for where, info in rows)], right=NUMBERS)
    else:
        output.say("No runs yet.")
    for each in found:
        if each.error is not None:
            print(f"qwill: {each.where}: {output.line(each.error.sentence())}", file=sys.stderr)
    return 1 if any(each.error for each in found) else 0


async def _ask(where: str, address: str) -> Found:
    """The runs of one place; no engine is started to be asked, and no person either."""
    try:
        client = await connect(Target(host=address, person=False), start=not address)
    except QwillError as error:
        return Found(where, (), None if error.info.code == "engine_not_running" else error.info)
    try:
        listed: commands.RunList = await client.request(commands.ListRuns())
        return Found(where, listed.runs)
    except QwillError as error:
        return Found(where, (), error.info)
    finally:
        await client.close()
