"""A fake engine whose chats are trees: versions, edits, forks, deletions and marks."""

from __future__ import annotations

import json
import time
from typing import Any

from msgspec.structs import replace

from engine.api import commands, events, specs
from tests.support.fake_engine import FakeEngine


class TreeEngine(FakeEngine):
    """Keeps every message; `messages` is the path to the chat's head, as the base class reads it."""

    def __init__(self, first: specs.Snapshot | None = None) -> None:
        super().__init__(first)
        self.nodes: dict[str, specs.Message] = {}
        self.deleted: set[str] = set()

    def node(self, message: str) -> specs.Message:
        """A message with its place among its versions."""
        node = self.nodes[message]
        same = self._siblings(node)
        return replace(node, version=same.index(message) + 1, versions=len(same))

    def finish(self, text: str, thinking: str = "", **more: Any) -> specs.Message:
        done = super().finish(text, thinking, **more)
        self.nodes[done.id] = done
        return done

    # --- the tree ---------------------------------------------------------------------------

    def _siblings(self, node: specs.Message) -> list[str]:
        return [
            each.id
            for each in self.nodes.values()
            if (each.chat, each.parent, each.role) == (node.chat, node.parent, node.role)
            and each.id not in self.deleted
        ]

    def _children(self, message: str) -> list[str]:
        return [n.id for n in self.nodes.values() if n.parent == message and n.id not in self.deleted]

    def _remember(self, chat: str) -> None:
        """Take over what the base class has put on the path."""
        for message in self.messages.get(chat, []):
            self.nodes.setdefault(message.id, message)

    def _show(self, chat: str, leaf: str | None) -> specs.ChatInfo:
        """Let the path end in this message."""
        path: list[specs.Message] = []
        at = leaf
        while at is not None:
            path.insert(0, self.node(at))
            at = path[0].parent
        self.messages[chat] = path
        self.chats[chat] = replace(self.chats[chat], head=leaf)
        self.emit(events.ChatChanged(chat=self.chats[chat]))
        return self.chats[chat]

    def _down(self, message: str) -> str:
        while below := self._children(message):
            message = below[-1]
        return message

    def _put(self, old: specs.Message, role: specs.Role, text: str, **more: Any) -> specs.Message:
        node = specs.Message(
            id=f"m{next(self._ids)}", chat=old.chat, role=role, text=text, created=time.time(), **more
        )
        self.nodes[node.id] = node
        return node

    # --- answers ----------------------------------------------------------------------------

    def _on_send(self, command: commands.Send) -> commands.Sent:
        sent = super()._on_send(command)
        self._remember(command.chat)
        return replace(sent, chat=self._show(command.chat, sent.reply.id))

    def _on_readchat(self, command: commands.ReadChat) -> commands.ChatPage:
        self._remember(command.chat)
        path = self.messages.get(command.chat, [])
        self.messages[command.chat] = [self.node(message.id) for message in path]
        return super()._on_readchat(command)

    def _on_showversion(self, command: commands.ShowVersion) -> specs.ChatInfo:
        self._remember(command.chat)
        same = self._siblings(self.nodes[command.message])
        at = min(len(same) - 1, max(0, same.index(command.message) + command.by))
        return self._show(command.chat, self._down(same[at]))

    def _on_regenerate(self, command: commands.Regenerate) -> specs.Message:
        self._remember(command.chat)
        old = self.nodes[command.message]
        settings = command.settings or old.settings
        new = self._put(
            old, "assistant", "", parent=old.parent, state="queued", model=old.model, settings=settings
        )
        return self._added(new)

    def _on_continuereply(self, command: commands.ContinueReply) -> specs.Message:
        self._remember(command.chat)
        old = self.nodes[command.message]
        new = self._put(
            old,
            "assistant",
            old.text,
            parent=old.parent,
            state="queued",
            model=old.model,
            origin="continued",
            source=old.id,
        )
        return self._added(new)

    def _on_editmessage(self, command: commands.EditMessage) -> commands.Edited:
        self._remember(command.chat)
        old = self.nodes[command.message]
        new = self._put(
            old, old.role, command.text, parent=old.parent, origin="edited", source=old.id, model=old.model
        )
        reply = None
        if old.role == "user":
            reply = self._put(old, "assistant", "", parent=new.id, state="queued", model="demo")
        chat = self._show(command.chat, (reply or new).id)
        for each in (new, reply):
            if each is not None:
                self.emit(events.MessageAdded(message=self.node(each.id)))
        return commands.Edited(chat=chat, message=self.node(new.id), reply=reply and self.node(reply.id))

    def _added(self, new: specs.Message) -> specs.Message:
        self._show(new.chat, new.id)
        self.emit(events.MessageAdded(message=self.node(new.id)))
        return self.node(new.id)

    def _on_forkchat(self, command: commands.ForkChat) -> specs.ChatInfo:
        self._remember(command.chat)
        chat = self.add_chat(f"c{len(self.chats) + 1}", self.chats[command.chat].title)
        path, parent = self.messages[command.chat], None
        for message in path[: [each.id for each in path].index(command.message) + 1]:
            copy = replace(message, id=f"m{next(self._ids)}", chat=chat.id, parent=parent)
            self.nodes[copy.id], parent = copy, copy.id
        return self._show(chat.id, parent)

    def _on_deletemessage(self, command: commands.DeleteMessage) -> specs.ChatInfo:
        self._remember(command.chat)
        node = self.nodes[command.message]
        if command.restore:
            self.deleted.discard(node.id)
            return self._show(command.chat, self._down(node.id))
        self.deleted.add(node.id)
        others = self._siblings(node)
        return self._show(command.chat, self._down(others[-1]) if others else node.parent)

    def _on_markreply(self, command: commands.MarkReply) -> specs.Message:
        self._remember(command.chat)
        self.nodes[command.message] = replace(self.nodes[command.message], mark=command.mark)
        self.emit(events.MessageChanged(message=self.node(command.message)))
        return self.node(command.message)

    def marked(self) -> list[commands.Marked]:
        """The marked and edited replies, newest first."""
        for chat in self.messages:
            self._remember(chat)
        return [
            commands.Marked(
                message=self.node(node.id),
                title=self.chats[node.chat].title,
                question=self.nodes[node.parent].text if node.parent else "",
            )
            for node in reversed(self.nodes.values())
            if node.role == "assistant" and (node.mark or node.origin == "edited")
        ]

    def _on_listmarked(self, command: commands.ListMarked) -> commands.MarkedList:
        found = self.marked()
        page = found[command.offset : command.offset + command.limit]
        return commands.MarkedList(replies=tuple(page), total=len(found))

    def _on_exportmarked(self, command: commands.ExportMarked) -> commands.MarkedRows:
        good = [each for each in self.marked() if each.message.mark == "good" or each.message.origin]
        rows = [
            json.dumps(
                {
                    "messages": [
                        {"role": "user", "content": each.question},
                        {"role": "assistant", "content": each.message.text},
                    ]
                },
                ensure_ascii=False,
            )
            for each in good
        ]
        page = rows[command.offset : command.offset + 2]
        return commands.MarkedRows(rows=tuple(page), more=command.offset + 2 < len(rows))
