"""`qwill chats`: list, search, export, import, rename, archive and delete chats."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from engine.api import (
    FORMS,
    Client,
    Tally,
    bring_in,
    commands,
    fault,
    file_name,
    form_of,
    pieces,
    save,
    specs,
)
from engine.api import take_out as take
from tui.cli import output, progress_line
from tui.cli.attached import attached
from tui.cli.chat_ref import find_chat
from tui.format import clock, percent, plural, shorten
from tui.paths import whole_path

HEADER = ("id", "title", "model", "changed", "tags")
PAGE = 500


def run(args: argparse.Namespace) -> int:
    """Do one action; every one has a `--json` form. 1 when an import took nothing."""
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    actions = {
        "list": _list,
        "search": _search,
        "export": _export,
        "import": _import,
        "rename": _rename,
        "archive": _archive,
        "delete": _delete,
    }
    async with attached(args) as client:
        return await actions[args.action](client, args)


# --- finding --------------------------------------------------------------------------------


async def _list(client: Client, args: argparse.Namespace) -> int:
    found: commands.ChatList = await client.request(
        commands.ListChats(limit=args.limit, archived=args.archived, tag=args.tag)
    )
    if args.json:
        output.say_json([_facts(chat) for chat in found.chats])
    elif found.chats:
        output.table([HEADER, *map(_row, found.chats)])
    else:
        output.say("No chats here. Begin one with `qwill`, or import some with `qwill chats import FILE`.")
    return 0


def _row(chat: specs.ChatInfo) -> tuple[str, ...]:
    tags = [f"#{tag}" for tag in chat.tags] + (["archived"] if chat.archived else [])
    return (chat.id, shorten(chat.title, 60), chat.model, clock(chat.updated), " ".join(tags))


def _facts(chat: specs.ChatInfo) -> dict[str, Any]:
    """As `--json` has it."""
    return output.plain(chat) | {"tags": list(chat.tags)}


async def _search(client: Client, args: argparse.Namespace) -> int:
    query = " ".join(args.words)
    found: commands.HitList = await client.request(commands.SearchChats(query, args.limit))
    if args.json:
        output.say_json([output.plain(hit) for hit in found.hits])
        return 0
    for hit in found.hits:
        where = {"title": "title", "thinking": "thought"}.get(hit.part, hit.role)
        output.say(f"{hit.chat}  {shorten(hit.title, 50)}  ({where})")
        if hit.excerpt:
            print("   ", output.line(hit.excerpt))
    if not found.hits:
        output.say("Nothing found.")
    return 0


# --- files ----------------------------------------------------------------------------------


async def _export(client: Client, args: argparse.Namespace) -> int:
    form = args.format or form_of(args.output) or "md"
    wanted = await _wanted(client, args)
    if args.output == "-":
        return await _to_stdout(client, form, wanted)
    target = whole_path(args.output or ".")
    groups = [wanted] if FORMS[form].many else [[chat] for chat in wanted]
    if len(groups) > 1 and not target.is_dir():
        raise fault(
            "usage",
            "Several chats need a folder",
            "Markdown has one file for each chat",
            "Give an existing folder with -o, or choose --format json or jsonl",
        )
    files: list[str] = []
    for number, group in enumerate(groups):
        whole = [await take(client.request, chat.id) for chat in group]
        name = group[0].title if len(group) == 1 else "chats"
        path = target / file_name(name, FORMS[form].ending) if target.is_dir() else target
        files.append(str(await asyncio.to_thread(save, form, whole, path)))
        _progress((number + 1) / len(groups), f"{number + 1} of {len(groups)}")
    progress_line.show("")
    if args.json:
        output.say_json({"format": form, "chats": len(wanted), "files": files})
    else:
        for file in files:
            output.say(file)
    return 0


async def _wanted(client: Client, args: argparse.Namespace) -> list[specs.ChatInfo]:
    """The chats that are meant. Raises EngineError `chat_unknown`, or `usage` for two ways at once."""
    if args.all and args.chats:
        raise fault("usage", "Name chats, or say --all, not both")
    if not args.all:
        return [await find_chat(client, ref) for ref in args.chats or [""]]
    chats: list[specs.ChatInfo] = []
    while True:
        page: commands.ChatList = await client.request(
            commands.ListChats(limit=PAGE, offset=len(chats), archived=True)
        )
        chats += page.chats
        if not page.chats:
            break
    if not chats:
        raise fault("chat_unknown", "There is no chat yet", remedy="Begin one with `qwill`")
    return chats


async def _to_stdout(client: Client, form: str, wanted: Sequence[specs.ChatInfo]) -> int:
    whole = [await take(client.request, chat.id) for chat in wanted]
    for piece in pieces(form, whole):
        sys.stdout.write(piece)
    return 0


async def _import(client: Client, args: argparse.Namespace) -> int:
    tallies: list[Tally] = []
    for file in args.files:
        path = whole_path(file)
        tallies.append(await bring_in(client.request, path, _told))
        progress_line.show("")
    chats, messages = sum(t.chats for t in tallies), sum(t.messages for t in tallies)
    skipped = sum(t.skipped for t in tallies)
    if args.json:
        ids = [chat for tally in tallies for chat in tally.ids]
        reasons = [line for tally in tallies for line in tally.lines()]
        output.say_json(
            {"chats": chats, "messages": messages, "skipped": skipped, "reasons": reasons, "ids": ids}
        )
    else:
        output.say(f"{plural(chats, 'chat')} with {plural(messages, 'message')} came in.")
        for tally in tallies:
            for line in tally.lines():
                print(f"qwill: left out: {output.line(line)}", file=sys.stderr)
    return 0 if chats else 1


def _told(done: float, tally: Tally) -> None:
    _progress(done, f"{plural(tally.chats, 'chat')}, {plural(tally.messages, 'message')}")


def _progress(done: float, words: str) -> None:
    progress_line.show(f"{percent(done)}  {words}" if done >= 0 else "")


# --- one chat -------------------------------------------------------------------------------


async def _rename(client: Client, args: argparse.Namespace) -> int:
    title = output.line(args.title)
    if not title:
        raise fault("usage", "A title needs at least one letter")
    chat = await find_chat(client, args.chat)
    changed: specs.ChatInfo = await client.request(commands.ChangeChat(chat.id, title=title))
    return _changed(changed, f"“{chat.title}” is called “{changed.title}” now.", as_json=args.json)


async def _archive(client: Client, args: argparse.Namespace) -> int:
    chat = await find_chat(client, args.chat)
    changed: specs.ChatInfo = await client.request(commands.ChangeChat(chat.id, archived=not args.undo))
    words = "is archived" if changed.archived else "is in the list"
    return _changed(changed, f"“{chat.title}” {words} now.", as_json=args.json)


async def _delete(client: Client, args: argparse.Namespace) -> int:
    if args.undo:
        await client.request(commands.DeleteChat(args.chat, restore=True))
        chat = await find_chat(client, args.chat)
        return _changed(chat, f"“{chat.title}” is back.", as_json=args.json)
    chat = await find_chat(client, args.chat)
    await client.request(commands.DeleteChat(chat.id))
    words = f"“{chat.title}” is in the trash. `qwill chats delete --undo {chat.id}` brings it back."
    return _changed(chat, words, as_json=args.json)


def _changed(chat: specs.ChatInfo, words: str, *, as_json: bool) -> int:
    if as_json:
        output.say_json(_facts(chat))
    else:
        output.say(words)
    return 0
