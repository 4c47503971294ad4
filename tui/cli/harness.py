"""`qwill eval --harness`: tasks of lm-evaluation-harness on a model, or on an adapter of it."""

from __future__ import annotations

import argparse
import uuid
from pathlib import Path
from typing import Any

from engine.api import Client, commands, events, fault
from tui.cli import output
from tui.cli.adapters import adapter_name
from tui.cli.attached import attached
from tui.cli.loading import model_name
from tui.cli.progress_line import until_done
from tui.format import seconds


async def run(args: argparse.Namespace) -> int:
    """Measure, with progress on a terminal; Ctrl+C stops it."""
    if len(args.adapter) > 1:
        raise fault("usage", "The harness measures one adapter at a time", remedy="Give --adapter once")
    command = commands.StartHarness(
        model_name(args.model or "demo"),
        tuple(task_name(task) for task in args.harness.split(",") if task.strip()),
        adapter_name(args.adapter[0]) if args.adapter else "",
        args.limit,
        uuid.uuid4().hex,
    )
    async with attached(args) as client:
        found = await _measured(client, command)
    if args.json:
        output.say_json(output.plain(found))
    else:
        show(found)
    return 0


def task_name(text: str) -> str:
    """A task by its name as it is, a YAML file by its whole path."""
    name = text.strip()
    return str(Path(name).expanduser().absolute()) if name.endswith((".yaml", ".yml")) else name


async def _measured(client: Client, command: commands.StartHarness) -> commands.HarnessScores:
    def words(body: Any) -> str:
        if not isinstance(body, events.EvaluationMoved) or body.job != command.job:
            return ""
        return f"{body.who} · {body.done} of {body.total} requests"

    stop = commands.StopEvaluation(command.job)
    found: commands.HarnessScores = await until_done(client, client.request(command), words, stop)
    return found


def show(found: commands.HarnessScores) -> None:
    """One line a number."""
    header = ("task", "metric", "value", "± error")
    body = [
        (score.task, score.metric, f"{score.value:.4f}", "" if score.error is None else f"{score.error:.4f}")
        for score in found.scores
    ]
    output.table([header, *body], right=(2, 3))
    output.say(f"Took {seconds(found.seconds)}.")
