"""Versions of messages: shown, edited, continued, branched, forked into a chat of their own, deleted."""

from __future__ import annotations

import time

import msgspec
from msgspec.structs import replace

from engine.backend import Begun
from engine.chatbook import Chatbook, new_id
from engine.protocol.commands import (
    BranchReply,
    ContinueReply,
    DeleteChat,
    DeleteMessage,
    Done,
    Edited,
    EditMessage,
    ForkChat,
    ShowVersion,
)
from engine.protocol.errors import fault
from engine.protocol.specs import ChatInfo, ChatSettings, Message
from engine.replies import Replies
from engine.reply_forms import grows, not_a_reply, placeholder
from engine.store.store import Store
from engine.turns import prompt_rows


class Tree:
    """Answers the commands on a chat's tree. Used from the loop's thread."""

    def __init__(self, book: Chatbook, replies: Replies) -> None:
        self._book = book
        self._replies = replies

    async def show(self, command: ShowVersion) -> ChatInfo:
        """Show the path through a message, or through a version before or after it."""
        async with self._replies.sending:
            return await self._book.change_tree(command.chat, Store.show, command.message, command.by)

    async def fork(self, command: ForkChat) -> ChatInfo:
        """A new chat with a copy of the path; the old one stays as it is."""
        return await self._book.fork(command.chat, command.message)

    async def delete(self, command: DeleteMessage) -> ChatInfo:
        """Take a message and all under it off the tree, live replies stopped first; or bring them back."""
        book = self._book
        async with self._replies.sending:
            if command.restore:
                return await book.change_tree(command.chat, Store.restore_message, command.message)
            await book.message(command.chat, command.message)
            await self._replies.halt(await book.ask(command.chat, Store.below, command.message))
            return await book.change_tree(command.chat, Store.delete_message, command.message)

    async def delete_chat(self, command: DeleteChat) -> Done:
        """Move a chat to the trash, its live replies stopped first; or bring it back."""
        async with self._replies.sending:
            await self._replies.halt({m.id for m in self._replies.live() if m.chat == command.chat})
            await self._book.delete(command.chat, restore=command.restore)
        return Done()

    async def edit(self, command: EditMessage) -> Edited:
        """A new version beside an old one: a question with its reply, or what a reply should have been."""
        async with self._replies.sending:
            old = await self._book.message(command.chat, command.message)
            if not command.text.strip() and not old.files and not old.images:
                raise fault("empty_message", "There is nothing to keep", remedy="Type the new text first")
            if old.role == "user":
                return await self._ask_anew(old, command)
            if old.role != "assistant":
                raise fault("not_editable", "Only questions and replies can be edited")
            return await self._correct(old, command.text)

    async def proceed(self, command: ContinueReply) -> Message:
        """A new version that begins with an old reply and goes on, as the chat is set now."""
        async with self._replies.sending:
            old = await self._done_reply(command.chat, command.message, "continued")
            chat = await self._book.chat(old.chat)
            same = (old.model, old.adapter) == (chat.model, chat.settings.adapter)
            ids = await self._ids(old) if same else ()
            settings = chat.settings
            if old.settings is not None:  # a reply that began with thoughts is finished in that way
                settings = replace(settings, think=old.settings.think)
            reply = placeholder(chat, old.parent or "", settings=settings, origin="continued", source=old.id)
            begun = Begun(ids, old.thinking, old.text, thinking_s=_thinking_s(old))
            return await self._replies.queue(reply, begun=begun)

    async def branch(self, command: BranchReply) -> Message:
        """A new version that keeps an old reply's tokens up to one, takes another there, and goes on.

        It is by the old reply's model and settings, whose tokens these are.
        """
        async with self._replies.sending:
            old = await self._done_reply(command.chat, command.message, "branched")
            ids = await self._ids(old)
            if not ids:
                raise fault(
                    "tokens_unknown",
                    "This reply cannot be branched",
                    "Its tokens were not stored: it was typed, imported, or written by an older Qwill",
                    "Generate it again, then branch the new version",
                )
            if not 0 <= command.at < len(ids) or not 0 <= command.token < 1 << 32:
                raise fault(
                    "token_unknown",
                    f"The reply has no token {command.at}",
                    f"It has {len(ids)}, counted from 0",
                    "Choose one of them",
                )
            reply = placeholder(
                await self._book.chat(old.chat),
                old.parent or "",
                model=old.model,
                settings=old.settings,
                origin="branched",
                source=old.id,
            )
            begun = Begun((*ids[: command.at], command.token), ends=True, thinking_s=_share(old, command.at))
            return await self._replies.queue(reply, begun=begun)

    # --- inside -----------------------------------------------------------------------------

    async def _ask_anew(self, old: Message, command: EditMessage) -> Edited:
        user = Message(
            new_id(),
            old.chat,
            "user",
            text=command.text,
            parent=old.parent,
            created=time.time(),
            files=old.files,
            images=old.images,
            origin="edited",
            source=old.id,
        )
        if not command.answer:
            chat = await self._book.add(user)
            return Edited(chat, await self._book.message(chat.id, user.id))
        reply = placeholder(await self._book.chat(old.chat), user.id)
        chat = await self._book.add(user, reply)
        self._replies.enqueue(reply)
        return Edited(chat, await self._book.message(chat.id, user.id), reply)

    async def _correct(self, old: Message, text: str) -> Edited:
        if old.live:
            raise grows()
        new = Message(
            new_id(),
            old.chat,
            "assistant",
            text=text,
            thinking=old.thinking,
            parent=old.parent,
            created=time.time(),
            model=old.model,
            adapter=old.adapter,
            settings=old.settings,
            finish="stop",
            origin="edited",
            source=old.id,
        )
        rows = prompt_rows(await self._book.sent(old.chat, old.parent), old.settings or ChatSettings())
        chat = await self._book.add(new, prompt=msgspec.json.encode(rows).decode())
        return Edited(chat, await self._book.message(chat.id, new.id))

    async def _done_reply(self, chat: str, message: str, what: str) -> Message:
        """A finished reply to a question."""
        found = await self._book.message(chat, message)
        if found.role != "assistant" or found.parent is None:
            raise not_a_reply(what)
        if found.live:
            raise grows()
        return found

    async def _ids(self, reply: Message) -> tuple[int, ...]:
        return await self._book.ask(reply.chat, Store.ids, reply.id)


def _thinking_s(reply: Message) -> float:
    return reply.stats.thinking_s if reply.stats is not None else 0.0


def _share(reply: Message, tokens: int) -> float:
    """Of the seconds that a reply thought, those of its first tokens."""
    stats = reply.stats
    if stats is None or not stats.thinking_tokens:
        return 0.0
    return stats.thinking_s * min(1.0, tokens / stats.thinking_tokens)
