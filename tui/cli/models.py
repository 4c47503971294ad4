"""`qwill models`: list, show, load, unload."""

from __future__ import annotations

import argparse
import asyncio

from engine.api import Client, Estimate, Learned, commands, connect, specs
from tui.cli import output
from tui.cli.attached import target
from tui.cli.loading import load, model_name
from tui.cli.options import held
from tui.fit import SIGNS, parts, trust
from tui.format import percent, size

HEADER = ("model", "params", "on disk", "context", "thinking", "state")
HUB = ("search", "card", "files", "pull", "downloads", "rm")
"""Actions of `tui.cli.hub`."""
NUMBERS = (1, 2, 3)
"""Columns that are aligned on the right."""


def run(args: argparse.Namespace) -> int:
    """Do one action; every one has a `--json` form."""
    if args.action == "catalogue":
        from tui.cli import catalogue

        return catalogue.run(args)
    if args.action == "health":
        from tui.cli import health

        return health.run(args)
    if args.action in HUB:
        from tui.cli import hub

        return hub.run(args)
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    client = await connect(target(args), workbench=False)
    try:
        if args.action == "list":
            await _list(client, args)
            return 0
        name = model_name(args.name)
        if args.action == "load":
            model = await load(client, name, dtype=args.dtype, quant=held(args), evict=args.evict)
            _say(model, _loaded(model), as_json=args.json)
            return 0
        model = await client.request(commands.ShowModel(name))
        if args.action == "show":
            fit = await client.request(commands.EstimateFit(model.id))
            _show(model, fit, as_json=args.json)
        else:
            await client.request(commands.UnloadModel(model.id))
            model = await client.request(commands.ShowModel(model.id))
            _say(model, f"{model.id} is not loaded any more.", as_json=args.json)
    finally:
        await client.close()
    return 0


def _loaded(model: specs.ModelInfo) -> str:
    """That it is there now, and how."""
    if model.runs_on == "server":
        return f"{model.id} is ready; the server at {model.device} holds it."
    words = f"{model.id} is loaded: {size(model.memory)}, {_form(model)}, {model.device}."
    return words + (f" {model.note}." if model.note else "")


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
        "-" if model.runs_on == "server" else size(model.bytes_on_disk),
        f"{model.context:,}" if model.context else "-",
        model.thinking,
        _state(model),
    )


def _state(model: specs.ModelInfo) -> str:
    """The state in words; what is wrong with a model comes first."""
    if model.state == "ready":
        return "ready" if model.runs_on == "server" else f"ready · {size(model.memory)}"
    if model.state == "loading":
        return f"loading {percent(model.progress)}"
    return "available" if model.support == "tested" else model.support


def _show(model: specs.ModelInfo, fit: Estimate, *, as_json: bool) -> None:
    if as_json:
        output.say_json(output.plain(model) | {"fit": output.plain(fit)})
        return
    rows = [
        ("name", model.name),
        ("id", model.id),
        ("family", model.family),
        ("parameters", count(model.parameters)),
        ("on disk", "" if model.runs_on == "server" else size(model.bytes_on_disk)),
        ("context", f"{model.context:,} tokens" if model.context else "unknown"),
        ("weights", model.dtype),
        ("thinking", model.thinking),
        ("chat", "yes" if model.chat else "no, it completes text"),
        ("support", model.support),
        ("state", _state(model)),
        ("loaded as", f"{_form(model)} on {model.device}".strip() if model.state == "ready" else ""),
        ("", model.note if model.state == "ready" else ""),
        ("note", model.why),
        ("server" if model.runs_on == "server" else "folder", model.path),
    ]
    output.table([row for row in rows if row[1]])
    if model.support == "unsupported" or model.runs_on == "server":
        return
    output.say("")
    output.table([("memory", ""), *parts(fit)])
    for line in _verdict(fit):
        output.say(line)


def _verdict(fit: Estimate) -> list[str]:
    """Whether it fits and why, what would help, and how predictions came true."""
    told = [f"{SIGNS[fit.verdict]}: {fit.why}."]
    if fit.remedy:
        told.append(f"{fit.remedy}.")
    elif fit.longest > fit.context:
        told.append(f"Up to {fit.longest:,} tokens of context fit.")
    if fit.measured:
        told.append(f"Last time it took {size(fit.measured)}, and {size(fit.foretold)} were foretold.")
    if trusted := trust(Learned(fit.correction, fit.error, fit.count)):
        told.append(f"{trusted[0].upper()}{trusted[1:]}.")
    return told


def _form(model: specs.ModelInfo) -> str:
    """How the weights are held."""
    if model.quant and model.load_dtype:
        return f"{model.quant} computing in {model.load_dtype}"
    return model.quant or model.load_dtype


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
