"""`qwill data`: check a dataset by line and key, see a row as it is learnt, make one of pasted text."""

from __future__ import annotations

import argparse
import asyncio
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.api import Client, commands, events, fault, runs
from tui.cli import output
from tui.cli.attached import attached
from tui.cli.carrying import carried
from tui.cli.data_report import LEAST, show
from tui.cli.loading import model_name
from tui.cli.progress_line import following
from tui.cli.train import data_name
from tui.format import plural, shorten

PASTE_LIMIT = 800_000
"""Bytes of a pasted text at most: it travels to the engine in one line."""


def run(args: argparse.Namespace) -> int:
    """Do one action; every one has a `--json` form."""
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    actions = {"check": _check, "preview": _preview, "paste": _paste, "fetch": _fetch, "list": _list}
    async with attached(args) as client:
        return await actions[args.action](client, args)


async def _check(client: Client, args: argparse.Namespace) -> int:
    """0 when a run would use every row, else 1."""
    command = commands.CheckData(
        await carried(client, data_name(args.data, host=args.host)),
        columns=dict(args.columns),
        objective=args.objective or "",
        model=model_name(args.model) if args.model else "",
        length=args.length,
        eval_data=await carried(client, data_name(args.eval_data, host=args.host)),
        limit=args.limit,
        job=uuid.uuid4().hex,
    )
    async with following(client, _reading(command.job)):
        report: runs.DatasetReport = await client.request(command)
    usable = report.rows >= LEAST and all(not problem.fatal for problem in report.problems) and not report.bad
    if args.json:
        output.say_json(output.plain(report) | {"ok": usable})
    else:
        show(report)
    return 0 if usable else 1


def _reading(job: str) -> Callable[[Any], str]:
    """How far a read is; Ctrl+C ends it, because the engine does nothing for a client that left."""

    def words(body: Any) -> str:
        if not isinstance(body, events.DataMoved) or body.job != job:
            return ""
        of = f" of {body.total:,}" if body.total else ""
        return f"{body.done:,}{of} rows read · Ctrl+C stops"

    return words


async def _preview(client: Client, args: argparse.Namespace) -> int:
    """0 when the row teaches something, else 1."""
    from tui.cli import data_mask

    model = model_name(args.model) if args.model else client.welcome.snapshot.default_model
    data = await carried(client, data_name(args.data, host=args.host))
    columns = dict(args.columns)
    objective = args.objective
    if objective is None:
        some = await client.request(commands.CheckData(data, columns=columns, limit=args.limit or 200))
        objective = next(iter(some.objectives), "chat")
    spec = runs.TrainSpec(
        model, data, objective=objective, columns=columns, length=args.length, limit=args.limit
    )
    side = "rejected" if args.rejected else ""
    asked = commands.PreviewRow(spec, row=args.row, answer=args.answer, side=side)  # type: ignore[arg-type]
    preview: commands.MaskPreview = await client.request(asked)
    if args.json:
        output.say_json(output.plain(preview))
    else:
        data_mask.show(preview)
    return 0 if preview.labelled and not preview.cut else 1


async def _paste(client: Client, args: argparse.Namespace) -> int:
    """0 when pairs were found, else 1."""
    found: commands.PastedRows = await client.request(commands.PasteRows(_text(args.file)))
    saved: commands.SavedRows | None = None
    if args.name and found.pairs:
        verb = commands.AppendRows if args.append else commands.SaveRows
        saved = await client.request(verb(found.pairs, name=args.name, system=args.system))
    if args.json:
        output.say_json(output.plain(found) | {"saved": output.plain(saved)})
        return 0 if found.pairs else 1
    if found.pairs:
        rows = [(shorten(pair.question, 50), shorten(pair.answer, 50)) for pair in found.pairs[:10]]
        output.table([("question", "answer"), *rows])
        output.say(f"{plural(len(found.pairs), 'pair')} found ({found.form}).")
    for problem in found.problems:
        output.say(problem)
    if saved is not None:
        output.say(f"Saved: {saved.path}, {plural(saved.rows, 'row')}.")
    elif found.pairs:
        output.say("Nothing is saved yet; --name NAME saves them.")
    return 0 if found.pairs else 1


def _text(name: str) -> str:
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).expanduser().read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise fault("data_unreadable", f"{name} cannot be read", error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise fault("data_unreadable", "The text is not UTF-8", f"At byte {error.start}") from error
    if len(content) > PASTE_LIMIT:
        raise fault(
            "data_too_large",
            "The text is too large to be pasted",
            remedy="Save it as CSV, and give the file's path",
        )
    return text


async def _fetch(client: Client, args: argparse.Namespace) -> int:
    command = commands.FetchData(args.data, args.limit, job=uuid.uuid4().hex)
    async with following(client, _reading(command.job)):
        found: commands.DataPreview = await client.request(command)
    if args.json:
        output.say_json(output.plain(found))
        return 0
    for row in found.rows:
        output.say(shorten(row, 160))
    output.say(f"{plural(found.count, 'row')} fetched, with {', '.join(found.columns)}: {found.path}")
    return 0


async def _list(client: Client, args: argparse.Namespace) -> int:
    found: commands.DatasetList = await client.request(commands.ListDatasets())
    if args.json:
        output.say_json([output.plain(dataset) for dataset in found.datasets])
    else:
        rows = [(each.id, str(each.rows), each.title, each.about) for each in found.datasets]
        output.table([("dataset", "rows", "title", "about"), *rows], right=(1,))
    return 0
