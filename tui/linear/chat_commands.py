"""Slash commands of the linear chat: other chats, and this one as a whole."""

from __future__ import annotations

from engine.api import commands
from tui.format import shorten
from tui.linear.talk import Talk

LISTED = 10
"""Rows of a list at most."""


async def new(talk: Talk, argument: str) -> None:
    await talk.new()
    talk.paper.say("A new chat. The model and the settings stay.")


async def chats(talk: Talk, argument: str) -> None:
    found: commands.ChatList = await talk.link.request(commands.ListChats(limit=LISTED))
    rows = [f"{chat.id}  {shorten(chat.title, talk.paper.width - 20)}" for chat in found.chats]
    if rows:
        rows.append("/open ID goes on with one of them.")
    talk.paper.show("\n".join(rows) or "There is no chat yet.")


async def go_on(talk: Talk, argument: str) -> None:
    from tui.cli.chat_ref import find_chat

    talk.chat = await find_chat(talk.link.client, argument)
    await talk.greet()
    talk.warm()


async def search(talk: Talk, argument: str) -> None:
    if not argument:
        talk.paper.say("/search takes the words to look for.")
        return
    found: commands.HitList = await talk.link.request(commands.SearchChats(argument, limit=LISTED))
    rows = []
    for hit in found.hits:
        rows.append(f"{hit.chat}  {shorten(hit.title, talk.paper.width - 20)}")
        rows.append(f"  {shorten(hit.excerpt, talk.paper.width - 4)}")
    if rows:
        rows.append("/open ID goes on with one of them.")
    talk.paper.show("\n".join(rows) or f"Nothing was found for {argument}.")


async def delete(talk: Talk, argument: str) -> None:
    if not talk.chat.head:
        talk.paper.say("There is nothing to delete yet.")
        return
    gone = talk.chat
    await talk.link.request(commands.DeleteChat(gone.id))
    talk.trash.append(gone)
    await talk.new()
    talk.paper.say(f"Deleted “{shorten(gone.title, 40)}”. /undo brings it back. This is a new chat.")


async def undo(talk: Talk, argument: str) -> None:
    if not talk.trash:
        talk.paper.say("Nothing was deleted here.")
        return
    chat = talk.trash.pop()
    await talk.link.request(commands.DeleteChat(chat.id, restore=True))
    talk.chat = chat
    talk.paper.say(f"“{shorten(chat.title, 40)}” is back.")
