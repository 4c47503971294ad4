"""Our own JSON: whole chats with every version, mark, setting and thought. What is written comes back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from engine.interchange.build import INFO_LIMIT, MESSAGE_LIMIT, unfit
from engine.interchange.found import Found, Skipped, Unfit
from engine.interchange.graph import parents_first
from engine.interchange.values import items, table
from engine.protocol.specs import LIVE_STATES, ChatInfo, Message

VERSION = 1
"""Of the format; readers of a later one would raise it when old programs must not read it."""


def write(chats: Iterable[tuple[ChatInfo, Iterable[Message]]]) -> Iterator[str]:
    """The text of a file, piece by piece, one message a line."""
    yield f'{{"qwill": {{"version": {VERSION}}}, "chats": [\n'
    for number, (chat, messages) in enumerate(chats):
        yield ",\n" if number else ""
        yield f'{{"chat": {_json(replace(chat, view="", saved=True))},\n "messages": [\n'
        for place, message in enumerate(messages):
            yield (",\n" if place else "") + _json(_settled(message))
        yield "\n]}"
    yield "\n]}\n"


def is_ours(value: Any) -> bool:
    """Whether a file's value is what `write` writes."""
    return isinstance(value, dict) and isinstance(value.get("qwill"), dict) and "chats" in value


def read(value: dict[str, Any]) -> Iterator[Found | Skipped]:
    """Its chats. Raises Unfit for a file of a later program."""
    version = table(value.get("qwill")).get("version")
    if version != VERSION:
        raise Unfit(f"version {version!r} of the format, and this program reads {VERSION}")
    for number, each in enumerate(items(value.get("chats")), 1):
        yield from _chat(each, f"chat {number}")


def _chat(value: Any, place: str) -> Iterator[Found | Skipped]:
    try:
        info = msgspec.convert(table(value).get("chat"), ChatInfo)
    except msgspec.ValidationError as error:
        yield Skipped(place, f"not a chat ({error})")
        return
    if why := unfit(info, INFO_LIMIT):
        yield Skipped(place, f"a chat {why}")
        return
    kept: dict[str, Message] = {}
    parents: dict[str, str | None] = {}
    for number, each in enumerate(items(table(value).get("messages")), 1):
        where = f"{place}, message {number}"
        try:
            message = msgspec.convert(each, Message)
        except msgspec.ValidationError as error:
            yield Skipped(where, f"not a message ({error})")
            _remember(parents, table(each))
            continue
        if message.id in parents:
            yield Skipped(where, "its id came before")
        elif why := unfit(message, MESSAGE_LIMIT):
            yield Skipped(where, f"a message {why}")
            parents[message.id] = message.parent
        else:
            kept[message.id], parents[message.id] = message, message.parent
    yield from _joined(info, kept, parents, place)


def _remember(parents: dict[str, str | None], message: dict[str, Any]) -> None:
    """What hangs on a message that was left out hangs on that one's parent then."""
    name, parent = message.get("id"), message.get("parent")
    if isinstance(name, str) and (parent is None or isinstance(parent, str)):
        parents.setdefault(name, parent)


def _joined(
    info: ChatInfo, kept: dict[str, Message], parents: dict[str, str | None], place: str
) -> Iterator[Found | Skipped]:
    order = parents_first(parents, list(parents))
    above: dict[str, str | None] = {}
    messages: list[Message] = []
    for name in order:
        parent = parents[name]
        above[name] = name if name in kept else above.get(parent or "")
        if name in kept:
            message = kept[name]
            source = message.source if message.source in kept else None
            messages.append(replace(_settled(message), parent=above.get(parent or ""), source=source))
    for name in set(kept) - set(order):
        yield Skipped(f"{place}, message {name[:20]}", "its parents go in a circle")
    if not messages:
        yield Skipped(place, "no message in it")
        return
    head = info.head if info.head in kept else messages[-1].id
    yield Found(replace(info, head=head, saved=True, view=""), tuple(messages), place)


def _settled(message: Message) -> Message:
    """One that was still being written counts as cut off; places among versions are not kept."""
    if message.state in LIVE_STATES:
        message = replace(message, state="done", finish="interrupted")
    return replace(message, version=1, versions=1)


def _json(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()
