"""`qwill models search|card|files|pull|downloads|rm`: the hub, and its cache on this machine."""

from __future__ import annotations

import argparse
import asyncio
import sys

from engine.api import Client, check_online, commands
from tui.cli import output
from tui.cli.attached import attached
from tui.cli.models import count
from tui.cli.pull import pull
from tui.format import percent, seconds, size

ASKING = ("search", "card", "files", "pull")
"""Actions that go out to the network."""
FOUND = ("model", "params", "size", "downloads", "likes", "licence", "note")
LISTED = ("file", "size", "here", "")
DOWNLOADS = ("id", "model", "state", "size", "here", "note")


def run(args: argparse.Namespace) -> int:
    """Do one action; every one has a `--json` form."""
    if args.action in ASKING:
        check_online()
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    async with attached(args) as client:
        match args.action:
            case "search":
                return await _search(client, args)
            case "card":
                return await _card(client, args)
            case "files":
                return await _files(client, args)
            case "pull":
                model, revision = split(args.id)
                return await pull(client, commands.StartDownload(model, revision, tuple(args.files)), args)
            case "downloads":
                return await _downloads(client, args)
            case _:
                return await _remove(client, args)


def split(ref: str) -> tuple[str, str]:
    """`ID@REVISION` as both; no revision is empty."""
    model, _, revision = ref.partition("@")
    return model, revision


async def _search(client: Client, args: argparse.Namespace) -> int:
    command = commands.SearchHub(args.text, args.author, args.kind, args.order, args.limit)
    found: commands.HubRows = await client.request(command)
    if args.json:
        output.say_json([output.plain(row) for row in found.rows])
    elif found.rows:
        output.table([FOUND, *map(_found, found.rows)], right=(1, 2, 3, 4))
    else:
        output.say("Nothing found.")
    return 0


def _found(row: commands.HubRow) -> tuple[str, ...]:
    notes = [
        word
        for word, holds in (("here", row.here), ("gated", row.gated), ("GGUF", row.kind == "gguf"))
        if holds
    ]
    return (
        row.id,
        count(row.parameters),
        size(row.size) if row.size else "-",
        f"{row.downloads:,}",
        f"{row.likes:,}",
        row.licence or "-",
        ", ".join(notes),
    )


async def _show(client: Client, args: argparse.Namespace) -> commands.HubModel:
    model, revision = split(args.id)
    found: commands.HubModel = await client.request(commands.ShowHubModel(model, revision))
    return found


async def _card(client: Client, args: argparse.Namespace) -> int:
    model = await _show(client, args)
    if args.json:
        output.say_json(output.plain(model))
        return 0
    from tui.text import clean

    print(clean(model.card).rstrip() if model.card else "It has no card.")
    if model.card_cut:
        output.say(f"The card is longer: {model.page}")
    return 0


async def _files(client: Client, args: argparse.Namespace) -> int:
    model = await _show(client, args)
    if args.json:
        output.say_json(output.plain(model) | {"card": ""})
        return 0
    output.table([LISTED, *map(_listed, model.files)], right=(1, 2))
    output.say("")
    output.say(f"{model.id} at {model.sha[:12]}" + (f", {model.licence}" if model.licence else ""))
    if model.gated:
        output.say(f"It is gated: accept its terms at {model.page}")
    output.say(model.why or _need(model))
    return 0


def _listed(file: commands.HubFile) -> tuple[str, ...]:
    return (file.name, size(file.size), size(file.here) if file.here else "", "needed" if file.needed else "")


def _need(model: commands.HubModel) -> str:
    left = model.total - model.here
    if not left:
        return f"Needed are {size(model.total)}; all of it is here."
    here = f", {size(model.here)} of it is here" if model.here else ""
    return f"Needed are {size(model.total)}{here}; {size(model.free)} of the disk may be used."


async def _downloads(client: Client, args: argparse.Namespace) -> int:
    if args.cancel:
        await client.request(commands.CancelDownload(args.cancel, keep=not args.discard))
    found: commands.DownloadList = await client.request(commands.ListDownloads())
    if args.json:
        output.say_json([output.plain(info) for info in found.downloads])
    elif found.downloads:
        output.table([DOWNLOADS, *map(_download, found.downloads)], right=(3, 4))
    else:
        output.say("No downloads. Start one with `qwill models pull ID`.")
    return 0


def _download(info: commands.DownloadInfo) -> tuple[str, ...]:
    here = percent(info.done / info.total) if info.total else "-"
    note = f"{seconds(info.eta_s)} left" if info.eta_s is not None else ""
    if info.error is not None:
        note = info.error.title
    elif info.state == "cancelled":
        note = f"go on with `qwill models pull {info.model}`"
    return (info.id, info.model, info.state, size(info.total), here, note)


async def _remove(client: Client, args: argparse.Namespace) -> int:
    model, revision = split(args.id)
    freed: commands.Freed = await client.request(commands.DeleteCached(model, revision, dry=True))
    if not args.yes and not args.json:
        output.table([("revision", "refs", "size"), *map(_revision, freed.revisions)], right=(2,))
        if freed.partial:
            output.say(f"Left of unfinished downloads: {size(freed.partial)}")
        output.say(f"Deleting frees {size(freed.size)}.")
        if not _agreed():
            output.say("Nothing was deleted. Add --yes to delete without being asked.")
            return 0
    if args.yes or not args.json:
        freed = await client.request(commands.DeleteCached(model, revision))
    if args.json:
        output.say_json(output.plain(freed))
    else:
        output.say(f"{model} is deleted: {size(freed.size)} freed.")
    return 0


def _revision(cached: commands.CachedRevision) -> tuple[str, ...]:
    return (cached.sha[:12], ", ".join(cached.refs), size(cached.size))


def _agreed() -> bool:
    """Ask on the terminal; False where nobody sits."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print("Delete? It cannot be undone. [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
