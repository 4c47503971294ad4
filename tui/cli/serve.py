"""`qwill serve`: open, show and close the endpoint for other programs."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from engine.api import Client, commands, fault
from tui.cli import output
from tui.cli.attached import attached
from tui.cli.loading import load, model_name

VARIABLE = "QWILL_TOKEN"
PORT = 8123
LIMIT = 4096


def run(args: argparse.Namespace) -> int:
    """Open it, or do what `--stop` and `--status` say. `--status` returns 1 when nothing is served."""
    try:
        return asyncio.run(_run(args))
    except KeyboardInterrupt:
        return 0


async def _run(args: argparse.Namespace) -> int:
    async with attached(args) as client:
        if args.stop:
            return _stopped(await client.request(commands.StopServing()), args)
        if args.status:
            return _status(await client.request(commands.ShowServing()), args)
        info = await _start(client, args)
        _say(info, args)
        while args.in_process:  # the engine ends with this process
            await asyncio.sleep(3600)
    return 0


async def _start(client: Client, args: argparse.Namespace) -> commands.ServingInfo:
    token = _token(args)
    model = ""
    if args.model:
        model = (await load(client, model_name(args.model), dtype="", evict=args.evict)).id
    running: commands.ServingState = await client.request(commands.ShowServing())
    port = args.port
    if port is None:
        port = running.serving.port if running.serving else PORT
    command = commands.StartServing(port, model, token, tuple(args.origins))
    info: commands.ServingInfo = await client.request(command)
    return info


def _token(args: argparse.Namespace) -> str:
    """The token that was given, empty where none was. Raises EngineError `usage`."""
    if args.token is not None:
        return str(args.token) or _empty()
    if args.token_file is None:
        return os.environ.get(VARIABLE, "")
    try:
        if args.token_file == "-":
            return sys.stdin.readline(LIMIT).strip() or _empty()
        with open(Path(args.token_file).expanduser(), encoding="utf-8") as file:
            return file.read(LIMIT).strip() or _empty()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise fault("usage", f"The token in {args.token_file} cannot be read", why) from error


def _empty() -> str:
    raise fault("usage", "The token is empty", remedy="Leave it out, and one is made and kept for you")


def _say(info: commands.ServingInfo, args: argparse.Namespace) -> None:
    """Where to ask, and how to give the token to a program without showing it."""
    if args.json:
        output.say_json(output.plain(info))
        return
    output.say(f"Serving {info.model} at {info.address}, on this machine only.")
    if info.token_file:
        output.say(f"The token is in {info.token_file}, which only you can read. For a program:")
        output.say(f"  export OPENAI_BASE_URL={info.address}")
        output.say(f"  export OPENAI_API_KEY=\"$(cat '{info.token_file}')\"")
    output.say("`qwill serve --stop` ends it." if not args.in_process else "Ctrl+C ends it.")
    sys.stdout.flush()


def _stopped(was: commands.ServingState, args: argparse.Namespace) -> int:
    if args.json:
        output.say_json({"stopped": was.serving is not None})
    elif was.serving is None:
        output.say("Nothing was served.")
    else:
        output.say(f"{was.serving.address} is closed.")
    return 0


def _status(state: commands.ServingState, args: argparse.Namespace) -> int:
    info = state.serving
    if args.json:
        output.say_json(output.plain(state))
    elif info is None:
        output.say("Nothing is served. `qwill serve` starts it.")
    else:
        rows = [
            ("address", info.address),
            ("model", info.model),
            ("requests", f"{info.requests} answered, {info.active} under way"),
            ("token", info.token_file or "the one that was given"),
            ("web pages", ", ".join(info.origins) or "none"),
        ]
        output.table(rows)
    return 0 if info else 1
