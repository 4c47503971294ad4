"""`qwill hosts`: the machines whose engines one works on."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from engine.api import EngineLost, QwillError, Target, commands, connect, runs
from tui import hosts
from tui.cli import output
from tui.format import plural


def run(args: argparse.Namespace) -> int:
    """Do one action; `list --check` returns 1 when a host does not answer."""
    match args.action:
        case "add":
            hosts.add(args.name, args.address)
            words = f"{args.name} is {args.address}. Try it: `qwill --host {args.name} engine status`."
            return _said(args, args.name, args.address, words)
        case "remove":
            address = hosts.remove(args.name)
            return _said(
                args, args.name, address, f"{args.name} is forgotten here; nothing on it was touched."
            )
        case _:
            return asyncio.run(_list(args))


def _said(args: argparse.Namespace, name: str, address: str, words: str) -> int:
    if args.json:
        output.say_json({"name": name, "address": address})
    else:
        output.say(words)
    return 0


async def _list(args: argparse.Namespace) -> int:
    known = hosts.load()
    facts = [{"name": name, "address": address} for name, address in known.items()]
    if args.check:
        looked = await asyncio.gather(*(_look(address) for address in known.values()))
        facts = [fact | found for fact, found in zip(facts, looked, strict=True)]
    if args.json:
        output.say_json(facts)
    elif not facts:
        output.say("No hosts yet. Add one with `qwill hosts add NAME user@box`.")
    else:
        output.table([("name", "address", *(("state",) if args.check else ())), *map(_row, facts)])
    return 1 if any(fact.get("error") for fact in facts) else 0


def _row(fact: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(fact[key]) for key in ("name", "address", "state") if key in fact)


async def _look(address: str) -> dict[str, Any]:
    """Whether an engine answers there, asking nobody for anything; none is started for it."""
    try:
        client = await connect(Target(host=address, person=False), start=False)
    except EngineLost as error:
        if error.info.code == "engine_not_running":
            return {"state": "no engine runs", "version": "", "runs": 0, "error": None}
        return {"state": output.line(error.info.title), "error": output.plain(error.info)}
    except QwillError as error:
        return {"state": output.line(error.info.title), "error": output.plain(error.info)}
    try:
        info = client.welcome.snapshot.engine
        listed: commands.RunList = await client.request(commands.ListRuns())
        going = sum(each.state not in runs.ENDED_STATES for each in listed.runs)
        words = f"Qwill {info.version}, {plural(going, 'run')} under way"
        return {"state": words, "version": info.version, "runs": going, "error": None}
    finally:
        await client.close()
