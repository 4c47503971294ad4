"""Paths that could be meant while the engine is on another machine: those behind `box:` are of that one."""

from __future__ import annotations

import asyncio

from engine.api import EngineError, EngineLost, commands
from tui.attach import Request
from tui.format import size
from tui.path_search import Found, find, sayable
from tui.places import label, parse

_DOORS = (("~/", "your folder there"), ("/", "the root"))


async def find_either(request: Request, typed: str, host: str) -> list[Found]:
    """What `typed` could become, best first; nothing of a machine that does not answer.

    `host`: what the engine's machine is called; empty is this one.
    """
    if not host:
        return await asyncio.to_thread(find, typed)
    place = parse(typed, host)
    head = typed[: len(typed) - len(place.path)]
    if place.side == "there":
        found = await find_there(request, place.path) if "/" in place.path else _doors(place.path)
    else:
        found = await asyncio.to_thread(find, place.path)
    if head:
        return [Found(f"{head}{each.text}", each.folder, each.about) for each in found]
    door = f"{label(host)}:"
    return [*([Found(door, True, "files there")] if door.startswith(typed) else []), *found]


async def find_there(request: Request, path: str, *, folders: bool = False) -> list[Found]:
    """What a path of the engine's machine could become."""
    try:
        page: commands.FolderPage = await request(commands.ListFolder(path, folders))
    except (EngineError, EngineLost):
        return []
    folder = path.rpartition("/")[0]
    return [
        Found(
            f"{folder}/{each.name}{'/' if each.folder else ''}",
            each.folder,
            size(each.size) if each.size else "",
        )
        for each in page.entries
        if sayable(each.name)
    ]


def _doors(typed: str) -> list[Found]:
    """Where a path there begins."""
    return [Found(text, True, about) for text, about in _DOORS if text.startswith(typed)]
