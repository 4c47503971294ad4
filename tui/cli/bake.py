"""`qwill bake`: a system prompt as a dataset, and a run on it."""

from __future__ import annotations

import argparse
import asyncio
import sys
import uuid
from typing import Any

from msgspec.structs import replace

from engine.api import Client, commands, events, fault, runs
from tui.cli import output
from tui.cli.attached import attached
from tui.cli.chat_ref import find_chat
from tui.cli.follow import follow
from tui.cli.loading import may_evict, model_name
from tui.cli.progress_line import until_done


def run(args: argparse.Namespace) -> int:
    """Sample, write, start a run. Ctrl+C while it samples stops it, and nothing is written."""
    if args.in_process and not (args.follow or args.only_data):
        raise fault(
            "usage", "With --in-process the run would end at once", remedy="Add --follow, or leave it out"
        )
    try:
        return asyncio.run(_run(args))
    except KeyboardInterrupt:
        return 1


async def _run(args: argparse.Namespace) -> int:
    async with attached(args) as client:
        model = model_name(args.model) if args.model else ""
        chat = (await find_chat(client, args.chat)).id if args.chat else ""
        if not chat and not model:
            model = client.welcome.snapshot.default_model
        job = uuid.uuid4().hex
        wanted = commands.StartBake(chat, args.system or "", model, args.count, args.name, job=job)
        baked = await _sampled(client, wanted, evict=args.evict)
        if args.only_data:
            _say(output.plain(baked), baked.path, as_json=args.json)
            return 0
        spec = runs.TrainSpec(baked.model, baked.path, name=args.name)
        info: runs.RunInfo = await client.request(commands.StartRun(spec))
        if not args.json:
            print(f"qwill: {baked.rows} replies in {output.line(baked.path)}", file=sys.stderr)
        _say({"id": info.id, "data": baked.path, "rows": baked.rows}, info.id, as_json=args.json)
        sys.stdout.flush()
        return await follow(client, info, args) if args.follow else 0


def _say(facts: Any, text: str, *, as_json: bool) -> None:
    if as_json:
        output.say_json(facts)
    else:
        output.say(text)


async def _sampled(client: Client, command: commands.StartBake, *, evict: bool) -> commands.Baked:
    def words(body: Any) -> str:
        moved = isinstance(body, events.BakeMoved) and body.job == command.job
        return f"{body.done} of {body.total} replies" if moved else ""

    async def ask(evict: bool) -> commands.Baked:
        found: commands.Baked = await client.request(replace(command, evict=evict))
        return found

    work = may_evict(ask, evict=evict)
    return await until_done(client, work, words, commands.StopBake(command.job))
