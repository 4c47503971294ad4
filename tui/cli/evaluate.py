"""`qwill eval`: a base and adapters on the same held-out rows, in one table."""

from __future__ import annotations

import argparse
import asyncio
import uuid
from typing import Any

from msgspec.structs import replace

from engine.api import Client, commands, events
from tui.cli import output
from tui.cli.adapters import adapter_name
from tui.cli.attached import attached
from tui.cli.carrying import carried
from tui.cli.loading import load, may_evict, model_name
from tui.cli.progress_line import until_done
from tui.cli.train import data_name
from tui.format import seconds

TITLES = {"exact": "right", "choice": "right", "perplexity": "perplexity"}


def run(args: argparse.Namespace) -> int:
    """Measure, with progress on a terminal; Ctrl+C stops and shows what is done.

    1 when it was stopped, or when no row counted.
    """
    try:
        return asyncio.run(_run(args))
    except KeyboardInterrupt:
        return 1


async def _run(args: argparse.Namespace) -> int:
    if args.harness:
        from tui.cli import harness

        return await harness.run(args)
    async with attached(args) as client:
        wanted = model_name(args.model) if args.model else client.welcome.snapshot.default_model
        model = await load(client, wanted, dtype="", evict=args.evict)
        command = commands.StartEvaluation(
            model.id,
            await carried(client, data_name(args.data, host=args.host)),
            tuple(adapter_name(each) for each in args.adapter),
            args.metric,
            args.limit,
            args.max_tokens,
            uuid.uuid4().hex,
        )
        found = await _measured(client, command, evict=args.evict)
    if args.json:
        output.say_json(output.plain(found))
    else:
        show(found)
    nothing = any(score.value is None for score in found.scores)
    return 1 if found.stopped or nothing else 0


async def _measured(client: Client, command: commands.StartEvaluation, *, evict: bool) -> commands.Evaluation:
    def words(body: Any) -> str:
        if not isinstance(body, events.EvaluationMoved) or body.job != command.job:
            return ""
        return f"{body.who} · {body.done} of {body.total} rows"

    async def ask(evict: bool) -> commands.Evaluation:
        found: commands.Evaluation = await client.request(replace(command, evict=evict))
        return found

    work = may_evict(ask, evict=evict)
    return await until_done(client, work, words, commands.StopEvaluation(command.job))


def show(found: commands.Evaluation) -> None:
    """The table, and what the figures leave out."""
    header = ("", "rows", TITLES[found.metric], "± error", "took")
    body = [
        (score.name, str(score.rows), *figures(found.metric, score), seconds(score.seconds))
        for score in found.scores
    ]
    output.table([header, *body], right=(1, 2, 3, 4))
    if found.left_out:
        output.say(f"{found.left_out} rows are left out: they fit neither the metric nor the context.")
    if found.stopped:
        output.say("It was stopped; who was not done is not shown.")


def figures(metric: str, score: commands.Score) -> tuple[str, str]:
    """(value, standard error) as people read them; `-` where no row counts."""
    if score.value is None:
        return "-", ""
    if metric == "perplexity":
        return f"{score.value:.3f}", "" if score.error is None else f"{score.error:.3f}"
    return f"{score.value:.1%}", "" if score.error is None else f"{score.error:.1%}"
