"""What a person thinks of replies: marks and votes, and the datasets that they make."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.bus import Bus
from engine.chatbook import Chatbook
from engine.pages import fitting
from engine.protocol.command import Done
from engine.protocol.commands import (
    ExportMarked,
    ListMarked,
    Marked,
    MarkedList,
    MarkedRows,
    MarkReply,
    Vote,
)
from engine.protocol.errors import fault
from engine.protocol.events import MessageChanged
from engine.protocol.specs import ChatSettings, Message
from engine.reply_forms import grows, not_a_reply
from engine.store.marks import Example
from engine.store.store import Store
from engine.turns import prompt_rows, said

KINDS = {"messages": ("good", "edited"), "kto": ("good", "edited", "bad")}
SHAPES = (*KINDS, "preference")


class Marks:
    """Answers the commands on marks and votes. Lists and datasets hold saved chats only."""

    def __init__(self, bus: Bus, book: Chatbook) -> None:
        self._bus = bus
        self._book = book

    async def mark(self, command: MarkReply) -> Message:
        """Mark a reply, with the prompt that it answered; everyone is told."""
        reply = await self._book.message(command.chat, command.message)
        if reply.role != "assistant":
            raise not_a_reply("marked")
        if reply.live:
            raise grows()
        prompt = await self._prompt(reply)
        marked = await self._book.ask(reply.chat, Store.mark, reply.id, command.mark, prompt)
        self._bus.publish(MessageChanged(marked))
        return marked

    async def vote(self, command: Vote) -> Done:
        """Store a comparison. Raises EngineError `bad_vote` for anything but versions of one reply."""
        names = [name for name in (command.winner, *command.over) if name]
        replies = [await self._book.message(command.chat, name) for name in names]
        one_question = len({reply.parent for reply in replies}) == 1
        if not one_question or len(set(names)) < 2 or any(reply.role != "assistant" for reply in replies):
            raise fault(
                "bad_vote",
                "These replies cannot be compared",
                "A vote is about two or more versions of one reply",
                "Choose versions of the same reply",
            )
        if len(set(names)) < len(names) or (command.winner and command.all_bad):
            raise fault("bad_vote", "A reply cannot win and lose at once", remedy="Vote again")
        await self._book.ask(
            command.chat,
            Store.vote,
            command.chat,
            command.winner or None,
            command.over,
            all_bad=command.all_bad,
        )
        return Done()

    async def listing(self, command: ListMarked) -> MarkedList:
        """Marked and edited replies, newest first."""
        found, total = await self._book.ask(None, Store.marked, command.limit, command.offset)
        listed = [
            Marked(each.message, each.title, await self._book.ask(None, Store.question, each.message.id))
            for each in found
        ]
        return MarkedList(fitting(listed), total)

    async def export(self, command: ExportMarked) -> MarkedRows:
        """Training rows in the order in which the marks came. Raises EngineError `shape_unknown`."""
        if command.shape not in SHAPES:
            raise fault(
                "shape_unknown",
                f"There is no shape {command.shape!r} of marked replies",
                remedy=f"Choose one of {', '.join(SHAPES)}",
            )
        wanted = command.limit + 1
        if command.shape == "preference":
            pairs = await self._book.ask(None, Store.pairs, wanted, command.offset)
            rows = [await self._pair(chosen, rejected) for chosen, rejected in pairs]
        else:
            kinds = KINDS[command.shape]
            found = await self._book.ask(None, Store.examples, kinds, wanted, command.offset)
            rows = [_row(command.shape, example) for example in found]
        page = fitting(rows[: command.limit])
        return MarkedRows(page, more=len(rows) > len(page))

    async def _pair(self, chosen: str, rejected: str) -> str:
        better = await self._book.ask(None, Store.message, chosen)
        worse = await self._book.ask(None, Store.message, rejected)
        prompt = await self._book.ask(None, Store.prompt, chosen) or await self._prompt(better)
        return _json(
            {"prompt": msgspec.Raw(prompt.encode()), "chosen": [_said(better)], "rejected": [_said(worse)]}
        )

    async def _prompt(self, reply: Message) -> str:
        """JSON of what a reply was generated from, before anything was left out to make it fit."""
        path = await self._book.sent(reply.chat, reply.parent)
        return _json(prompt_rows(path, reply.settings or ChatSettings()))


def _row(shape: str, example: Example) -> str:
    prompt, answer = example.prompt, _said(example.message)
    if shape == "kto":
        label = example.kind != "bad"
        return _json({"prompt": msgspec.Raw(prompt.encode()), "completion": [answer], "label": label})
    return _json({"messages": [*msgspec.json.decode(prompt), answer]})


def _said(reply: Message) -> dict[str, str]:
    return said("assistant", reply.text, reply.thinking)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
