"""`qwill endpoints`: servers that answer behind the same chat."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
from pathlib import Path

from engine.api import Client, commands, fault
from tui.cli import output
from tui.cli.attached import attached

HEADER = ("name", "kind", "models", "key", "state", "address")
NUMBERS = (2,)
"""Columns that are aligned on the right."""
SHOWN = 12
"""Models of a server that `check` names."""


def run(args: argparse.Namespace) -> int:
    """Do one action; every one has a `--json` form."""
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    async with attached(args) as client:
        if args.action == "list":
            return await _list(client, args)
        if args.action == "add":
            return _tell(await client.request(_added(args)), args)
        if args.action == "check":
            return _tell(await client.request(commands.CheckEndpoint(args.name)), args)
        return await _remove(client, args)


async def _list(client: Client, args: argparse.Namespace) -> int:
    found: commands.EndpointList = await client.request(commands.ListEndpoints(refresh=args.refresh))
    if args.json:
        output.say_json(output.plain(found.endpoints))
    elif found.endpoints:
        output.table([HEADER, *map(_row, found.endpoints)], right=NUMBERS)
    else:
        output.say(
            "No servers. Name one with `qwill endpoints add NAME URL`, or start Ollama or another here."
        )
    return 0


def _row(info: commands.EndpointInfo) -> tuple[str, ...]:
    return (
        info.name,
        info.kind or "-",
        str(len(info.models)) if info.reachable else "-",
        "-" if info.key == "none" else info.key,
        state(info),
        info.url,
    )


def state(info: commands.EndpointInfo) -> str:
    """Whether it answers, in words."""
    if info.reachable is None:
        return "not asked yet"
    if not info.reachable:
        return info.error.title if info.error is not None else "does not answer"
    return "answers" if info.saved else "answers, found here"


def _added(args: argparse.Namespace) -> commands.AddEndpoint:
    key = _read_key(args.name) if args.key else ""
    path = str(Path(args.key_file).expanduser().resolve()) if args.key_file else ""
    return commands.AddEndpoint(
        args.name,
        args.url,
        key=key,
        key_env=args.key_env or "",
        key_file=path,
        kind=args.kind or "",
        timeout=args.timeout,
        models=tuple(args.models),
    )


def _read_key(name: str) -> str:
    """Typed without being shown, or one line of stdin; a word of the command line everybody could see."""
    typed = sys.stdin.isatty()
    key = getpass.getpass(f"Key of {name} (not shown): ") if typed else sys.stdin.readline()
    if not key.strip():
        raise fault("usage", "There is no key", remedy="Type it when asked, or pass it through a pipe")
    return key.strip()


def _tell(info: commands.EndpointInfo, args: argparse.Namespace) -> int:
    """What a server said; exit code 1 when it cannot be asked."""
    if args.json:
        output.say_json(output.plain(info))
    else:
        _say(info, args.action)
    return 0 if info.reachable or args.action == "add" else 1


def _say(info: commands.EndpointInfo, action: str) -> None:
    kept = f"{info.name} is kept in settings.toml. " if action == "add" else ""
    if info.error is not None:
        output.say(f"{kept}{info.error.sentence()}")
    else:
        kind = f"{info.kind} {info.version}".strip()
        count = f"{len(info.models)} model{'' if len(info.models) == 1 else 's'}"
        output.say(f"{kept}{info.name} answers in {info.latency_ms:.0f} ms: {kind}, {count}.")
        for model in info.models[:SHOWN]:
            output.say(f"  {info.name}/{model}")
        if len(info.models) > SHOWN:
            output.say(f"  and {len(info.models) - SHOWN} more: `qwill models list`")
    if info.warning:
        output.say(f"{info.warning}.")


async def _remove(client: Client, args: argparse.Namespace) -> int:
    command = commands.RemoveEndpoint(args.name, restore=args.undo)
    info: commands.EndpointInfo = await client.request(command)
    if args.json:
        output.say_json(output.plain(info))
    elif args.undo:
        output.say(f"{info.name} is back.")
    else:
        output.say(f"{info.name} is gone. `qwill endpoints remove {info.name} --undo` brings it back.")
    return 0
