"""`qwill chat`: read a line, do what it says, until the person leaves."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time

from engine.api import Client, ErrorInfo, connect
from tui import slash
from tui.cli.attached import target
from tui.cli.chat_input import attachments, bring_images
from tui.cli.chat_start import begin
from tui.cli.options import held
from tui.linear import words
from tui.linear.commands import complete, do
from tui.linear.entry import Entered, Reader
from tui.linear.lines import Lines, PlainReader
from tui.linear.link import Link
from tui.linear.paper import Paper
from tui.linear.talk import Talk, Wishes

TWICE = 2.0
"""Seconds within which a second Ctrl+C counts."""


def run(args: argparse.Namespace) -> int:
    """Talk until the person leaves; returns 0. Raises QwillError when it cannot begin."""
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    paper = Paper(sys.stdout, sys.stderr)
    told: set[asyncio.Task[None]] = set()

    async def dial() -> Client:
        return await connect(target(args), workbench=False)

    def on_lost(info: ErrorInfo) -> None:
        told.add(asyncio.ensure_future(reader.aside(lambda: paper.say(words.lost(info)))))

    link = Link(dial, on_lost)
    lines = Lines(sys.stdin.fileno())
    reader: Reader = PlainReader(lines, paper)
    await link.open()
    try:
        files = await attachments(link.client, args.files)
        wishes = Wishes(args.dtype, args.evict, args.save is not False, args.show_thinking, held(args))
        chat = await begin(link.client, args, save=wishes.save)
        if _can_edit():
            reader = _editor(paper, link)
        talk = Talk(link, paper, reader, lines, chat, wishes)
        talk.files.extend(files)
        talk.images.extend(await bring_images(link.client, args.images, saved=chat.saved))
        talk.warm()
        await talk.greet()
        await _talk(talk)
        _say_goodbye(talk)
    finally:
        await link.close()
    return 0


async def _talk(talk: Talk) -> None:
    """Message after message, until the end of the input, /bye, or Ctrl+C twice on an empty line."""
    interrupted = -TWICE
    while not talk.leaving:
        queued = talk.next_queued()
        entered = Entered("text", queued) if queued else await talk.reader.read()
        if entered.kind == "end":
            return
        if entered.kind == "interrupt":
            now = time.monotonic()
            if entered.text.strip():
                interrupted = -TWICE  # that one took the line back
            elif now - interrupted < TWICE:
                return
            else:
                interrupted = now
                talk.paper.say("Ctrl+C again leaves, and so does Ctrl+D.")
            continue
        interrupted = -TWICE
        if entered.text.strip():
            await talk.attempt(_take(talk, entered.text))


async def _take(talk: Talk, text: str) -> None:
    """A command, or a message."""
    call = slash.parse(text)
    if call is None:
        await talk.send(text)
    else:
        await do(talk, call)


def _say_goodbye(talk: Talk) -> None:
    if talk.chat.head and talk.chat.saved:
        talk.paper.say(f"The chat is kept; `qwill chat --chat {talk.chat.id}` goes on with it.")


def _can_edit() -> bool:
    """Whether lines can be edited: a terminal on both sides that can move its cursor."""
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    return terminal and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")


def _editor(paper: Paper, link: Link) -> Reader:
    """The line editor; its library is imported only where it is of use."""
    from tui.linear.editor import Editor

    return Editor(paper, lambda typed: complete(typed, link))
