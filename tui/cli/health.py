"""`qwill models health`: how fast the models answer here, and what to change where that was better."""

from __future__ import annotations

import argparse
import asyncio
import time

from engine.api import commands
from tui.cli import output
from tui.cli.attached import attached
from tui.cli.loading import model_name
from tui.format import seconds, size

HEADER = ("model", "held as", "replies", "tokens/s", "best", "first token", "memory", "last")
NUMBERS = (2, 3, 4, 5, 6)
"""Columns that are aligned on the right."""


def run(args: argparse.Namespace) -> int:
    """One model, or all that have answered."""
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    async with attached(args) as client:
        wanted = model_name(args.name) if args.name else ""
        report: commands.HealthReport = await client.request(commands.ReadHealth(wanted))
    if args.json:
        output.say_json(output.plain(report))
    elif not report.models:
        output.say("No reply has been measured yet. Ask something, then look again.")
    else:
        output.table([HEADER, *map(_row, report.models)], right=NUMBERS)
        for health in report.models:
            for words in lines(health):
                output.say(f"{health.name} ({health.held_as or 'as it is'}): {words}")
    return 0


def _row(health: commands.ModelHealth) -> tuple[str, ...]:
    ago = f"{seconds(max(0.0, time.time() - health.at))} ago" if health.at else "-"
    return (
        health.model,
        health.held_as or "-",
        str(health.replies),
        f"{health.tokens_per_s:.1f}" if health.tokens_per_s else "-",
        f"{health.best_tokens_per_s:.1f}" if health.best_tokens_per_s else "-",
        f"{health.ttft_ms:,.0f} ms" if health.ttft_ms else "-",
        size(health.memory) if health.memory else "-",
        ago,
    )


def lines(health: commands.ModelHealth) -> list[str]:
    """What is slow or high, why, and what to change: a line each."""
    told = []
    for finding in health.findings:
        parts = (finding.sentence, finding.cause, finding.remedy)
        told.append(f"{finding.what} is {finding.word}. " + ". ".join(filter(None, parts)) + ".")
    return [*told, f"{health.tip}."] if health.tip else told
