"""`qwill adapters`: list them, switch one on in a chat, or off; prove and export them."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from pathlib import Path
from typing import Any

from engine.api import Client, commands, fault, runs, specs
from tui.cli import output
from tui.cli.attached import attached
from tui.cli.chat_ref import find_chat
from tui.cli.run_rows import loss
from tui.format import size
from tui.weights import label, split_colon

HEADER = ("adapter", "name", "base", "rank", "on disk", "loss", "note")
NUMBERS = (3, 4, 5)
"""Columns that are aligned on the right."""
CONFIG = "adapter_config.json"


def run(args: argparse.Namespace) -> int:
    """Do one action; every one has a `--json` form."""
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    async with attached(args) as client:
        if args.action == "list":
            return _list(await all_adapters(client), as_json=args.json)
        if args.action == "prove":
            from tui.cli.adapter_export import prove

            return await prove(client, args)
        if args.action in ("export", "merge"):
            from tui.cli.adapter_export import export

            return await export(client, args)
        return await _use(client, args)


async def all_adapters(client: Client) -> tuple[runs.AdapterInfo, ...]:
    """As the disk has them now, newest first."""
    found: commands.AdapterList = await client.request(commands.ListAdapters(refresh=True))
    return found.adapters


def adapter_name(text: str) -> str:
    """What the engine should look for: a folder named from here becomes absolute."""
    path = Path(text)
    with contextlib.suppress(RuntimeError):  # ~ of nobody
        path = path.expanduser()
    if text.startswith((".", "/", "~")) or (path / CONFIG).is_file():
        return str(path.resolve())
    return text


def find(known: tuple[runs.AdapterInfo, ...], ref: str, model: str = "") -> runs.AdapterInfo:
    """An adapter by id, folder or name; of those of one name, the one that fits the model.

    Raises EngineError `adapter_unknown` or `adapter_ambiguous`.
    """
    wanted = adapter_name(ref)
    tests = (
        [info for info in known if wanted in (info.id, info.path)],
        [info for info in known if info.name == ref and info.fits(model)],
        [info for info in known if info.name == ref],
    )
    for matches in tests:
        if len(matches) == 1:
            return matches[0]
        if matches:
            candidates = ", ".join(info.id for info in matches[:5])
            raise fault(
                "adapter_ambiguous",
                f"More than one adapter is called {ref}",
                f"It could be {candidates}",
                "Give its id or its folder",
            )
    raise fault(
        "adapter_unknown",
        f"There is no adapter called {ref[:100]}",
        remedy="See `qwill adapters list`, or give an adapter's folder",
    )


def split_ref(known: tuple[runs.AdapterInfo, ...], text: str) -> tuple[str, float | None]:
    """`NAME:0.8` as name and weight, None where none is given; an adapter may be called so itself.

    Raises EngineError `weight_wrong` for what stands behind the name of a known one and is none.
    """
    names = {name for info in known for name in (info.id, info.path, info.name)}
    if text in names:
        return text, None
    head, _, last = text.rpartition(":")
    name, weight = split_colon(text)
    if weight is None and head in names:
        remedy = f"Give a number from 0 to 2, such as {head}:0.8"
        raise fault("weight_wrong", f"{last[:20]!r} is no weight of an adapter", remedy=remedy)
    return name, weight


def check_fit(info: runs.AdapterInfo, model: specs.ModelInfo) -> None:
    """Raises EngineError `adapter_unusable` or `adapter_other_base` when it cannot be used on this model."""
    if info.fits(model.id):
        return
    if not info.base:
        raise fault("adapter_unusable", f"{info.name} cannot be used", info.why, f"It lies in {info.path}")
    raise fault(
        "adapter_other_base",
        f"{info.name} was trained on {info.base}, not on {model.name}",
        "An adapter changes the very weights that it was trained on, and means nothing on others",
        f"Ask {info.base} with it, or choose another adapter",
    )


def _list(found: tuple[runs.AdapterInfo, ...], *, as_json: bool) -> int:
    if as_json:
        output.say_json([_facts(info) for info in found])
    elif found:
        output.table([HEADER, *map(_row, found)], right=NUMBERS)
    else:
        output.say("No adapters yet. Train one with `qwill train --data FILE --follow`.")
    return 0


def _facts(info: runs.AdapterInfo) -> dict[str, Any]:
    """As `--json` has it; `run` is the id of the run that made it, where one here did."""
    return output.plain(info) | {"run": "" if info.id.startswith("/") else info.id}


def _row(info: runs.AdapterInfo) -> tuple[str, ...]:
    return (
        info.id,
        info.name,
        info.base or info.base_name or "-",
        str(info.rank or "-"),
        size(info.bytes_on_disk),
        loss(info.loss),
        info.why or info.unverified,
    )


async def _use(client: Client, args: argparse.Namespace) -> int:
    """Set the adapters of a chat; the next reply has them."""
    chat = await find_chat(client, args.chat)
    title = chat.title or chat.id
    parts: list[specs.WeightedAdapter] = []
    if args.off:
        words = f"“{title}” answers with {chat.model} alone again."
    else:
        model: specs.ModelInfo = await client.request(commands.ShowModel(chat.model))
        known, names = await all_adapters(client), []
        for wanted in args.adapters:
            ref, weight = split_ref(known, wanted)
            info = find(known, ref, model.id)
            check_fit(info, model)
            parts.append(specs.WeightedAdapter(info.id, args.weight if weight is None else weight))
            names.append((info.name, parts[-1].weight))
        words = f"“{title}” answers with {label(names)} on {model.id} now."
    settings = chat.settings.with_adapters(*parts)
    await client.request(commands.ChangeChat(chat.id, settings=settings))
    if args.json:
        facts = {"chat": chat.id, "title": chat.title, "model": chat.model, "adapter": settings.adapter}
        output.say_json(facts | {"weight": settings.adapter_weight, "adapters": output.plain(parts)})
    else:
        output.say(words)
    return 0
