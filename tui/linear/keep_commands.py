"""Slash commands of the linear chat: names, the archive, incognito, files and the clipboard."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import os

from msgspec.structs import replace

from engine.api import FORMS, commands, fault, file_name, form_of, save, specs, take_out, write_atomic
from tui.cli import code
from tui.format import plural
from tui.linear.talk import Talk
from tui.paths import whole_path


async def rename(talk: Talk, argument: str) -> None:
    title = " ".join(argument.split())
    if not title:
        talk.paper.say(f"This chat is called “{talk.chat.title}”. /rename TITLE gives it another name.")
        return
    talk.chat = await talk.link.request(commands.ChangeChat(talk.chat.id, title=title))
    talk.paper.say(f"This chat is called “{title}” now.")


async def archive(talk: Talk, argument: str) -> None:
    if not talk.chat.saved or not talk.chat.head:
        talk.paper.say("There is nothing here to archive.")
        return
    talk.chat = await talk.link.request(commands.ChangeChat(talk.chat.id, archived=not talk.chat.archived))
    talk.paper.say("The chat is archived." if talk.chat.archived else "The chat is in the list again.")


async def incognito(talk: Talk, argument: str) -> None:
    talk.wishes = dataclasses.replace(talk.wishes, save=False)
    await talk.new()
    talk.paper.say("A new chat that is saved nowhere; so are the next ones.")


async def keep_thoughts(talk: Talk, argument: str) -> None:
    keeps = not talk.chat.settings.keep_thoughts
    await talk.change(settings=replace(talk.chat.settings, keep_thoughts=keeps))
    talk.paper.say(
        "Earlier thoughts are sent with each message." if keeps else "Earlier thoughts are not sent."
    )


async def export(talk: Talk, argument: str) -> None:
    if not talk.chat.head:
        talk.paper.say("There is nothing to export yet.")
        return
    form = argument if argument in FORMS else form_of(argument) or "md"
    target = whole_path("." if argument in FORMS else argument or ".")
    path = target / file_name(talk.chat.title, FORMS[form].ending) if target.is_dir() else target
    whole = await take_out(talk.link.request, talk.chat.id)
    written = await asyncio.to_thread(save, form, [whole], path)
    talk.paper.say(f"The chat is in {written}.")


async def save_code(talk: Talk, argument: str) -> None:
    which, _, name = argument.partition(" ")
    if not which.isdecimal():
        which, name = "1", argument
    reply = await _reply(talk)
    found = code.extract(reply.text, which)
    if not name.strip():
        talk.paper.say("/save_code N PATH writes code block N of the last reply to a new file.")
        return
    path = whole_path(name.strip())
    if path.exists():
        raise fault("file_exists", f"{path} is there already", remedy="Choose another name")
    try:
        await asyncio.to_thread(write_atomic, path, found.encode())
    except OSError as error:
        raise fault("save_failed", f"{path} could not be written", error.strerror or str(error)) from error
    talk.paper.say(f"Code block {which} is in {path}.")


async def copy(talk: Talk, argument: str) -> None:
    reply = await _reply(talk)
    text = code.extract(reply.text, argument) if argument.isdecimal() and argument != "0" else reply.text
    where = await _copied(talk, text)
    talk.paper.say(f"{plural(len(text), 'character')} {where}.")


async def _copied(talk: Talk, text: str) -> str:
    """Copy by the machine's tool, else the terminal, else into a file; says which."""
    from tui import clipboard

    tool = clipboard.tool()
    if tool and await clipboard.by_tool(tool, text):
        return f"copied by {tool[0]}"
    if (
        talk.paper.aside.isatty()
        and os.environ.get("TERM", "dumb") != "dumb"
        and clipboard.fits_terminal(text)
    ):
        data = base64.b64encode(text.encode("utf-8", "replace")).decode()
        talk.paper.aside.write(f"\x1b]52;c;{data}\a")
        talk.paper.aside.flush()
        return "sent to the terminal's clipboard, which not every terminal fills"
    return f"written to {await asyncio.to_thread(clipboard.to_file, text)}"


async def _reply(talk: Talk) -> specs.Message:
    reply = await talk.last_reply()
    if reply is None:
        raise fault("no_reply", "There is no reply yet")
    return reply
