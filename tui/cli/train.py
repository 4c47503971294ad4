"""`qwill train`: start a run from a file or from options, and follow it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from engine.api import ALIASES, PRESETS, Client, EngineError, commands, fault, load_spec, runs, spec_of
from tui.cli import output
from tui.cli.carrying import attached_with, carried_spec, local, sided
from tui.cli.follow import follow
from tui.cli.loading import model_name
from tui.cli.parser_train import FLAGS
from tui.format import plural, seconds, size
from tui.run_sizes import trust_words

ELSEWHERE = ("shipped:", "marked:", "hub:")
"""Beginnings of data that is no file named by the user."""


def run(args: argparse.Namespace) -> int:
    """Start a run, or estimate one. 0: started (with --follow: done)."""
    if args.in_process and not (args.follow or args.dry_run):
        raise fault(
            "usage", "With --in-process the run would end at once", remedy="Add --follow, or leave it out"
        )
    return asyncio.run(_run(args, wanted(args)))


def wanted(args: argparse.Namespace) -> runs.TrainSpec:
    """The run that was asked for; its model is empty where nobody named one.

    Raises EngineError `usage` without data, `spec_wrong` or `spec_unreadable` with the place of the fault.
    """
    changes = options(args)
    if args.spec:
        path = Path(args.spec)
        spec = load_spec(path, changes)
        model = str((path.parent / spec.model).absolute()) if spec.model.startswith(".") else spec.model
        _check_reward(spec, given=args.reward is not None)
        data = data_name(spec.data, path.parent, args.host)
        tested = data_name(spec.eval_data, path.parent, args.host)
        return replace(spec, model=model, data=data, eval_data=tested)
    if "data" not in changes:
        raise fault(
            "usage", "No data is named", remedy="Give --data FILE, --data shipped:NAME, or a RUN.toml"
        )
    return spec_of({"model": "", **changes}, "This")


def _check_reward(spec: runs.TrainSpec, *, given: bool) -> None:
    """A RUN.toml of somebody else's may not run a program of theirs."""
    if spec.reward.endswith(".py") and not given:
        raise fault(
            "usage",
            f"RUN.toml wants to run {spec.reward}",
            "Its reward is a program, which may do anything",
            "Read it, then say so yourself: --reward FILE",
        )


def options(args: argparse.Namespace) -> dict[str, Any]:
    """The keys of run.toml that the options and the preset set."""
    given = {flag.field: getattr(args, flag.field) for flag in FLAGS}
    changes = {key: value for key, value in given.items() if value is not None}
    method = changes.get("method")
    if method in ALIASES:
        changes["method"], packed = ALIASES[method]
        changes.setdefault("quant", packed)
    if changes.get("quant") == "none":
        changes["quant"] = ""
    for key in ("peft", "columns"):
        if key in changes:
            changes[key] = dict(_pair(text, json_value=key == "peft") for text in changes[key])
    for key in ("data", "eval_data"):
        if key in changes:
            changes[key] = data_name(changes[key], host=args.host)
    if changes.get("reward", "").endswith(".py"):
        changes["reward"] = data_name(changes["reward"], host=args.host)
    if args.model:
        changes["model"] = model_name(args.model)
    return dict(PRESETS[args.preset] if args.preset else {}) | changes


def pairs(texts: Sequence[str]) -> dict[str, Any]:
    """`rank=8 seed=1` by key; values are JSON, or text. Raises EngineError `usage`."""
    return dict(_pair(text, json_value=True) for text in texts)


def _pair(text: str, *, json_value: bool) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    if not key.strip() or not sign:
        raise fault("usage", f"{text!r} is no KEY=VALUE", remedy="Write the key, =, and its value")
    if not json_value:
        return key.strip(), value
    try:
        return key.strip(), json.loads(value)
    except ValueError:
        return key.strip(), value


def data_name(text: str, folder: Path | None = None, host: str = "") -> str:
    """What the engine should read: a path named from here, or from a file in `folder`, becomes absolute.

    With a host it says on which side it lies, for `carried`. Raises EngineError `place_unknown`.
    """
    if text.startswith(ELSEWHERE) or not text.strip():
        return text
    return sided(text, host, folder) if host else local(text, folder)


async def _run(args: argparse.Namespace, wish: runs.TrainSpec) -> int:
    async with attached_with(args, lambda client: carried_spec(client, wish)) as (client, spec):
        if not spec.model:
            spec = replace(spec, model=client.welcome.snapshot.default_model)
        if args.dry_run:
            return await _estimate(client, spec, as_json=args.json)
        info: runs.RunInfo = await client.request(
            commands.StartRun(spec, idle=args.when_idle, hold=args.hold)
        )
        if args.json:
            output.say_json({"id": info.id})
        else:
            output.say(info.id)
        sys.stdout.flush()
        return await follow(client, info, args) if args.follow else 0


async def _estimate(client: Client, spec: runs.TrainSpec, *, as_json: bool) -> int:
    """Print what a run would take; 1 when it would not fit."""
    found: runs.Estimate = await client.request(commands.EstimateRun(spec))
    if as_json:
        output.say_json(output.plain(found))
        return 0 if found.fits else 1
    from tui.train_words import need

    rows = [
        ("rows", f"{found.rows:,}"),
        *((("left out", f"{plural(found.left_out, 'answer')}, too long"),) if found.left_out else ()),
        ("steps", f"{found.steps:,}"),
        ("tokens", f"{found.tokens:,}, {found.labelled:,} of them learnt"),
        ("time", f"about {seconds(found.seconds)}" if found.seconds is not None else "unknown"),
        ("memory", size(need(found))),
        *((f"· {part}", size(bytes_)) for part, bytes_ in found.parts.items()),
        ("loaded already", size(found.shared)),
        ("free", f"{size(found.free)}, {size(found.reserve)} of it left to others"),
        *((("estimates", trust_words(found)),) if found.error else ()),
    ]
    output.table(rows)
    if found.fits:
        return 0
    raise does_not_fit(found)


def does_not_fit(found: runs.Estimate) -> EngineError:
    """The EngineError `run_too_large` with what would make it fit."""
    from tui.train_words import change_words, need

    return fault(
        "run_too_large",
        f"The run does not fit: it takes {size(need(found))} beside what is loaded",
        f"{size(found.free)} are free, {size(found.reserve)} of it left to others",
        "; or ".join(change_words(found)) or "Choose a smaller model",
    )
