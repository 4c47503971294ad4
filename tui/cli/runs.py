"""`qwill runs`: list, show, follow, stop, delete and bring back; see run_steering for the rest."""

from __future__ import annotations

import argparse
import asyncio
import time

from engine.api import Client, commands, events, runs
from tui.cli import output, run_page, run_rows, run_steering
from tui.cli.attach import attach
from tui.cli.attached import attached
from tui.cli.follow import follow
from tui.cli.run_rows import brief, find, progress, row
from tui.format import clock

HEADER = (*run_rows.HEADER, "created")
NUMBERS = (3, 4, 5)
"""Columns that are aligned on the right."""
STOP_SECONDS = 30.0
"""That `stop` waits for the end of the present step."""


def run(args: argparse.Namespace) -> int:
    """Do one action; every one has a `--json` form."""
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    if args.action == "list" and args.all_hosts:
        from tui.cli import all_runs

        return await all_runs.listing(args)
    async with attached(args) as client:
        match args.action:
            case "list":
                return await _list(client, as_json=args.json)
            case "show":
                await run_page.show(client, await find(client, args.run), as_json=args.json)
                return 0
            case "follow":
                return await follow(client, await find(client, args.run), args)
            case "attach":
                return await attach(client, args)
            case "pull":
                from tui.cli import pull_run

                return await pull_run.pull(client, args)
            case "stop":
                return await _stop(client, args)
            case "rm":
                return await _remove(client, args)
            case "compare":
                from tui.cli import compare_runs  # its tables need what a plain list does not

                return await compare_runs.run(client, args)
            case "memory":
                from tui.cli import run_memory

                return await run_memory.run(client, args)
            case "export":
                from tui.cli import run_export

                return await run_export.export(client, await find(client, args.run), args)
            case "prune":
                return await run_steering.prune(client, args)
            case _:
                return await run_steering.steer(client, await find(client, args.run), args)


async def _list(client: Client, *, as_json: bool) -> int:
    found: commands.RunList = await client.request(commands.ListRuns())
    if as_json:
        output.say_json([row(info) for info in found.runs])
    elif found.runs:
        output.table([HEADER, *map(_row, found.runs)], right=NUMBERS)
    else:
        output.say("No runs yet. Start one with `qwill train --data FILE --follow`.")
    return 0


def _row(info: runs.RunInfo) -> tuple[str, ...]:
    return (*brief(info), clock(info.created))


async def _stop(client: Client, args: argparse.Namespace) -> int:
    """Ask for the end, and wait a while for it."""
    info = await find(client, args.run)
    info = await client.request(commands.StopRun(info.id, save=not args.discard))
    if info.state not in runs.ENDED_STATES:
        info = await _until_ended(client, info)
    if args.json:
        output.say_json(row(info))
    elif info.state not in runs.ENDED_STATES:
        output.say(f"{info.id} ends after its present step.")
    elif info.state == "done":
        output.say(f"{info.id} had just ended by itself. Adapter: {info.adapter}")
    else:
        kept = f"Its adapter is kept: {info.adapter}" if info.adapter else "No adapter was saved"
        kept = f"Its model is kept: {info.whole}" if info.whole else kept
        output.say(f"{info.id} is stopped at step {progress(info)}. {kept}.")
    return 0


async def _until_ended(client: Client, info: runs.RunInfo) -> runs.RunInfo:
    async def ended() -> runs.RunInfo:
        async for event in client.events():
            body = event.body
            if (
                isinstance(body, events.RunChanged)
                and body.run.id == info.id
                and body.run.state in runs.ENDED_STATES
            ):
                return body.run
        return info

    try:
        return await asyncio.wait_for(ended(), STOP_SECONDS)
    except TimeoutError:
        return info


async def _remove(client: Client, args: argparse.Namespace) -> int:
    """Trash, or back from it, where a run is known by its whole id only."""
    if args.restore:
        await client.request(commands.DeleteRun(args.run, restore=True))
        words = f"{args.run} is back."
        name = args.run
    else:
        info = await find(client, args.run)
        await client.request(commands.DeleteRun(info.id))
        name = info.id
        words = f"{name} is in the trash. `qwill runs rm {name} --restore` brings it back."
    if args.json:
        output.say_json({"id": name, "restored" if args.restore else "deleted": True, "at": time.time()})
    else:
        output.say(words)
    return 0
