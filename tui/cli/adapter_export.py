"""`qwill adapters prove`, `export` and `merge`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import uuid
from pathlib import Path
from typing import Any

from engine.api import Client, EngineError, collect, commands, events, fault, waiting
from tui import hosts, places
from tui.cli import output
from tui.cli.adapters import adapter_name
from tui.cli.carrying import Progress
from tui.cli.loading import may_evict, model_name
from tui.cli.progress_line import following
from tui.format import percent, size

WAITING = commands.WAITING
BRIEF = 300
"""Characters of each text that are shown."""


async def prove(client: Client, args: argparse.Namespace) -> int:
    """Both texts and the sentence; exit code 1 when the adapter changes nothing."""
    model = model_name(args.model) if args.model else ""

    async def ask(evict: bool) -> commands.Proof:
        asked = commands.ProveAdapter(adapter_name(args.adapter), model, args.prompt, args.weight, evict)
        proof: commands.Proof = await client.request(asked)
        return proof

    proof = await may_evict(ask, evict=args.evict)
    if args.json:
        output.say_json(output.plain(proof))
    else:
        output.say(f"{proof.words}.")
        output.say(f"Asked:   {proof.prompt}")
        output.say(f"Base:    {proof.base_text[:BRIEF]}")
        output.say(f"Adapter: {proof.text[:BRIEF]}")
    return 0 if proof.active else 1


async def export(client: Client, args: argparse.Namespace) -> int:
    """Write it, with progress on a terminal; exit code 1 when it was compared and is not the same."""
    merge = args.action == "merge"
    form: Any = "merged" if merge else args.form
    if not args.output and form != "vllm":
        raise fault("usage", "There is no place to write to", remedy="Name one with -o PATH")
    job = uuid.uuid4().hex
    command = commands.ExportAdapter(
        adapter_name(args.adapter),
        form,
        _target(args.output, args.host) if args.output else "",
        model_name(args.model) if args.model else "",
        args.weight,
        "f16" if merge else args.type,
        "" if merge else args.name,
        args.replace,
        job,
    )

    def words(body: Any) -> str:
        moved = isinstance(body, events.ExportMoved) and body.job == job
        return f"{body.phase} · {percent(body.progress)}" if moved else ""

    async with following(client, words):
        try:
            exported = await may_evict(_asking(client, command), evict=args.evict)
            if exported.path and command.target.startswith(WAITING):
                here = _here(args.output, args.host)
                exported = await collect(client, exported, here, Progress(f"fetching {here.name}"))
        except asyncio.CancelledError:
            with contextlib.suppress(EngineError):
                await client.request(commands.StopExport(job))
            raise
    return _report(exported, as_json=args.json)


def _target(typed: str, host: str) -> str:
    """Where the engine writes: where it was told to, or where it waits to be fetched to a path here."""
    place = places.parse(typed, host, hosts.called(host))
    if host and place.side == "there":
        return place.path
    return waiting(_here(typed, host)) if host else str(_here(typed, host))


def _here(typed: str, host: str) -> Path:
    return Path(places.parse(typed, host, hosts.called(host)).path).expanduser().absolute()


def _asking(client: Client, command: commands.ExportAdapter) -> Any:
    from msgspec.structs import replace

    async def ask(evict: bool) -> commands.Exported:
        exported: commands.Exported = await client.request(replace(command, evict=evict))
        return exported

    return ask


def _report(exported: commands.Exported, *, as_json: bool) -> int:
    check = exported.check
    good = check.ok or not check.done
    if as_json:
        output.say_json(output.plain(exported))
        return 0 if good else 1
    if exported.path:
        output.say(f"{exported.path}: {size(exported.bytes_on_disk)}.")
    output.say(f"{check.words}.")
    for words in (*exported.notes, f"What was there is kept: {exported.kept}" if exported.kept else ""):
        if words:
            output.say(f"{words}.")
    if exported.command:
        output.say(exported.command)
    if not good:
        print("qwill: the export did not pass its check; its card says so too.", file=sys.stderr)
    return 0 if good else 1
