"""A chat as people name it on the command line."""

from __future__ import annotations

from engine.api import Client, commands, fault, specs

CHATS = 1000
"""Chats that a start of an id is looked up in."""


async def find_chat(client: Client, ref: str) -> specs.ChatInfo:
    """A chat by its id, title, or the start of its id; the newest without a name.

    Raises EngineError `chat_unknown` or `chat_ambiguous`.
    """
    wanted = commands.ListChats(limit=CHATS if ref else 1, archived=bool(ref))
    found: commands.ChatList = await client.request(wanted)
    matches = [chat for chat in found.chats if not ref or ref in (chat.id, chat.title)]
    matches = matches or [chat for chat in found.chats if chat.id.startswith(ref)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        named = ", ".join(chat.id for chat in matches[:5])
        raise fault("chat_ambiguous", f"More than one chat is called {ref}", f"It could be {named}")
    if ref:
        raise fault("chat_unknown", f"There is no chat called {ref[:100]}", remedy="Give its id or its title")
    raise fault(
        "chat_unknown",
        "There is no chat yet",
        remedy="Begin one with `qwill`, or with `qwill chat`",
    )
