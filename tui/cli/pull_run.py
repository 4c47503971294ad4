"""`qwill --host BOX runs pull`: bring a run's curve and adapter here."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from engine.api import Client, EngineLost, Target, bring, commands, connect, fault, fetch, runs
from tui import hosts
from tui.cli import output
from tui.cli.carrying import Progress, again
from tui.cli.follow import chat_line
from tui.cli.progress_line import show
from tui.cli.run_rows import find
from tui.format import plural, size

T = TypeVar("T")


async def pull(client: Client, args: argparse.Namespace) -> int:
    """0 when all of it is here, verified. Raises what `bring` and `fetch` raise."""
    if args.output:
        return await _into_folder(client, args)
    if not client.host:
        raise fault(
            "usage",
            "The run is on this machine already",
            remedy="Say whose run it is: `qwill --host BOX runs pull RUN`; or copy its files with -o DIR",
        )
    info = await find(client, args.run)
    near = await connect(Target())
    try:
        here = await _through_cuts(
            client,
            lambda far: bring(far, near, info.id, hosts.called(client.host), Progress(f"pulling {info.id}")),
        )
        listed: commands.AdapterList = await near.request(commands.ListAdapters(refresh=True))
    finally:
        await near.close()
    adapter = next((each for each in listed.adapters if each.id == here.adapter), None)
    if args.json:
        output.say_json(_facts(here, adapter))
    else:
        _say(info, here, adapter)
    return 0


def _facts(here: runs.RunInfo, adapter: runs.AdapterInfo | None) -> dict[str, object]:
    return {
        "id": here.id,
        "origin": here.origin,
        "state": here.state,
        "step": here.step,
        "adapter": here.adapter,
        "adapter_folder": adapter.path if adapter else "",
        "base": adapter.base if adapter else "",
        "why": adapter.why if adapter else "",
        "model_folder": here.whole,
    }


def _say(there: runs.RunInfo, here: runs.RunInfo, adapter: runs.AdapterInfo | None) -> None:
    output.say(f"{there.id} is here as {here.id}, verified.")
    if adapter is None:
        output.say(f"Model: {here.whole}" if here.whole else "It has made no adapter (yet).")
    elif adapter.why:
        output.say(f"Its adapter cannot be used here: {adapter.why}.")
    else:
        output.say(f"Chat with it: {chat_line(here)}")


async def _into_folder(client: Client, args: argparse.Namespace) -> int:
    folder = Path(args.output).expanduser().absolute()
    info = await find(client, args.run)
    found = await _through_cuts(
        client, lambda far: fetch(far, "run", info.id, folder, Progress(f"pulling {info.id}"))
    )
    if args.json:
        output.say_json({"path": str(folder), "files": output.plain(found.files)})
    else:
        amount = size(sum(each.size for each in found.files))
        output.say(f"{plural(len(found.files), 'file')}, {amount}, verified: {folder}")
    return 0


async def _through_cuts(client: Client, work: Callable[[Client], Awaitable[T]]) -> T:
    """What the work comes to; where the line drops, on a new one, on which it goes on where it stopped."""
    far = client
    try:
        while True:
            try:
                return await work(far)
            except EngineLost as error:
                if not far.host or not error.info.retryable:
                    raise
                if far is not client:
                    await far.close()
                far = await again(client.host, error)
    finally:
        show("")
        if far is not client:
            await far.close()
