"""`qwill models`: list, show, load, unload."""

from __future__ import annotations

import argparse
import asyncio

from engine.api import Client, Target, commands, connect, specs
from tui.cli import output
from tui.cli.loading import load, model_name
from tui.format import percent, size

HEADER = ("model", "params", "on disk", "context", "thinking", "state")
NUMBERS = (1, 2, 3)
"""Columns that are aligned on the right."""


def run(args: argparse.Namespace) -> int:
    """Do one action; every one has a `--json` form."""
    if args.action == "catalogue":
        from tui.cli import catalogue

        return catalogue.run(args)
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    client = await connect(Target(in_process=args.in_process), workbench=False)
    try:
        if args.action == "list":
            await _list(client, args)
            return 0
        name = model_name(args.name)
        if args.action == "load":
            model = await load(client, name, dtype=args.dtype, evict=args.evict)
            words = f"{model.id} is loaded: {size(model.memory)}, {model.load_dtype}, {model.device}."
            _say(model, words, as_json=args.json)
            return 0
        model = await client.request(commands.ShowModel(name))
        if args.action == "show":
            _show(model, as_json=args.json)
        else:
            await client.request(commands.UnloadModel(model.id))
            model = await client.request(commands.ShowModel(model.id))
            _say(model, f"{model.id} is not loaded any more.", as_json=args.json)
    finally:
        await client.close()
    return 0


async def _list(client: Client, args: argparse.Namespace) -> None:
    found: commands.ModelList = await client.request(commands.ListModels(refresh=args.refresh))
    if args.json:
        output.say_json(output.plain(found))
        return
    output.table([HEADER, *map(_row, found.models)], right=NUMBERS)


def _row(model: specs.ModelInfo) -> tuple[str, ...]:
    return (
        model.id,
        count(model.parameters),
        size(model.bytes_on_disk),
        f"{model.context:,}" if model.context else "-",
        model.thinking,
        _state(model),
    )


def _state(model: specs.ModelInfo) -> str:
    """The state in words; what is wrong with a model comes first."""
    if model.state == "ready":
        return f"ready · {size(model.memory)}"
    if model.state == "loading":
        return f"loading {percent(model.progress)}"
    return "available" if model.support == "tested" else model.support


def _show(model: specs.ModelInfo, *, as_json: bool) -> None:
    if as_json:
        output.say_json(output.plain(model))
        return
    rows = [
        ("name", model.name),
        ("id", model.id),
        ("family", model.family),
        ("parameters", count(model.parameters)),
        ("on disk", size(model.bytes_on_disk)),
        ("context", f"{model.context:,} tokens" if model.context else "unknown"),
        ("weights", model.dtype),
        ("thinking", model.thinking),
        ("chat", "yes" if model.chat else "no, it completes text"),
        ("support", model.support),
        ("state", _state(model)),
        ("loaded as", f"{model.load_dtype} on {model.device}" if model.state == "ready" else ""),
        ("note", model.why),
        ("folder", model.path),
    ]
    output.table([row for row in rows if row[1]])


def _say(model: specs.ModelInfo, words: str, *, as_json: bool) -> None:
    if as_json:
        output.say_json(output.plain(model))
    else:
        output.say(words)


def count(number: int) -> str:
    """A number of parameters in thousands, millions or billions with one decimal; `-` for nothing."""
    for unit, unit_size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= unit_size:
            return f"{number / unit_size:.1f} {unit}"
    return str(number) if number else "-"
