"""`qwill data`: check a dataset by line and key, and list those that come with Qwill."""

from __future__ import annotations

import argparse
import asyncio

from engine.api import Client, commands, runs
from tui.cli import output
from tui.cli.attached import attached
from tui.cli.train import data_name
from tui.format import plural, shorten

LEAST = 2
"""Usable rows that a run needs: one to learn from, one to be tested on."""


def run(args: argparse.Namespace) -> int:
    """Do one action; every one has a `--json` form."""
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    async with attached(args) as client:
        if args.action == "check":
            return await _check(client, args)
        found: commands.DatasetList = await client.request(commands.ListDatasets())
        if args.json:
            output.say_json([output.plain(dataset) for dataset in found.datasets])
        else:
            rows = [(each.id, str(each.rows), each.title, each.about) for each in found.datasets]
            output.table([("dataset", "rows", "title", "about"), *rows], right=(1,))
        return 0


async def _check(client: Client, args: argparse.Namespace) -> int:
    """0 when a run would use every row, else 1."""
    report: runs.DatasetReport = await client.request(commands.CheckData(data_name(args.data)))
    usable = report.rows >= LEAST and all(not problem.fatal for problem in report.problems)
    if args.json:
        output.say_json(output.plain(report) | {"ok": usable})
    else:
        _print(report)
    return 0 if usable else 1


def _print(report: runs.DatasetReport) -> None:
    rows = [
        ("file", report.path),
        ("rows", f"{report.rows:,} usable, {plural(report.turns, 'message')}"),
        (
            "characters",
            f"{report.characters:,}, {report.labelled_characters:,} of them learnt; "
            f"{report.longest:,} in the longest row",
        ),
        ("sha256", report.sha256),
        ("first", shorten(report.first, 70)),
    ]
    output.table([line for line in rows if line[1]])
    if report.problems:
        print()
        problems = [
            (f"line {p.line}", p.key or "-", p.what, "left out" if p.fatal else "used all the same")
            for p in report.problems
        ]
        output.table([("where", "key", "what", "so it is"), *problems])
    hidden = report.problem_count - len(report.problems)
    if hidden > 0:
        output.say(f"... and {plural(hidden, 'problem')} more.")
    if report.rows < LEAST:
        output.say(f"A run needs at least {LEAST} usable rows: one to learn from, one to be tested on.")
