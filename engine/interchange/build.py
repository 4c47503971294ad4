"""Puts a chat together from what a reader finds, and keeps out what could not be stored."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from engine.chat.titles import title_of
from engine.interchange.found import Found, Skipped
from engine.interchange.values import text
from engine.protocol.specs import ChatInfo, ChatSettings, Message, Role
from engine.protocol.wire import LINE_LIMIT

MESSAGE_LIMIT = LINE_LIMIT - (384 << 10)
"""Bytes of one message at most: it must fit on a line of the protocol, beside its chat's settings."""
INFO_LIMIT = 256 << 10
"""Bytes of a chat's title, settings and draft at most."""
MESSAGES = 100_000
"""Messages of one chat at most."""
ROLES: dict[str, Role] = {
    "user": "user",
    "human": "user",
    "me": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "oterm": "assistant",
    "ollama": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
    "function_call": "tool",
    "function_response": "tool",
    "observation": "tool",
}
"""What other programs call who speaks."""
_THOUGHT = re.compile(r"\s*<think>\n?(.*?)\n?</think>\s*", re.DOTALL)


class Builder:
    """One chat in the making."""

    def __init__(self, place: str, skip: Callable[[Skipped], None]) -> None:
        self.place = place
        self.messages: list[Message] = []
        self.system = ""
        self._skip = skip
        self._full = False

    def add(
        self,
        role: Role,
        said: Any,
        *,
        parent: str | None,
        thinking: str = "",
        where: str = "",
        **more: Any,
    ) -> str | None:
        """Add a message and return its id; one that is empty or cannot be stored gives its parent's."""
        words = text(said)
        if role == "assistant" and not thinking and (match := _THOUGHT.match(words)):
            thinking, words = match[1], words[match.end() :]
        if not (words.strip() or thinking.strip() or more.get("extra")):
            return parent
        if role == "system" and parent is None and not self.messages and not self.system:
            self.system = words
            return parent
        message = Message(
            f"{len(self.messages)}",
            "",
            role,
            words,
            text(thinking),
            parent,
            origin="imported",
            finish="stop" if role == "assistant" else None,
            **more,
        )
        return self._keep(message, where)

    def skip(self, where: str, why: str) -> None:
        """Leave something out, with its place."""
        self._skip(Skipped(f"{self.place}, {where}" if where else self.place, why))

    def done(
        self, *, title: Any = "", created: float = 0.0, updated: float = 0.0, head: str | None = None
    ) -> Found | None:
        """The chat; None, and a reason, when nothing was said in it."""
        if not self.messages:
            self.skip("", "no message in it")
            return None
        asked = next((m.text for m in self.messages if m.role == "user"), self.messages[0].text)
        times = [m.created for m in self.messages if m.created]
        created = created or min(times, default=0.0)
        info = ChatInfo(
            "",
            title=title_of(text(title)) or title_of(asked),
            created=created,
            updated=updated or max(times, default=created),
            head=head or self.messages[-1].id,
            settings=ChatSettings(system=self.system),
        )
        if why := unfit(info, INFO_LIMIT):
            self.skip("", f"a chat {why}")
            return None
        return Found(info, tuple(self.messages), self.place)

    def _keep(self, message: Message, where: str) -> str | None:
        if len(self.messages) >= MESSAGES:
            if not self._full:
                self.skip(where, f"more than {MESSAGES:,} messages in one chat")
            self._full = True
            return message.parent
        why = unfit(message, MESSAGE_LIMIT)
        if why and message.extra and not unfit(bare := replace(message, extra=""), MESSAGE_LIMIT):
            self.skip(where, f"what came with a message {why}")
            why, message = "", bare
        if why:
            self.skip(where, f"a message {why}")
            return message.parent
        self.messages.append(message)
        return message.id


def unfit(value: Message | ChatInfo, limit: int) -> str:
    """Why it could not travel over the protocol; empty when it can."""
    try:
        data = msgspec.json.encode(value)
        msgspec.json.decode(data, type=type(value))  # what is no number comes back as null
    except (msgspec.MsgspecError, UnicodeEncodeError, OverflowError, RecursionError):
        return "with values that are no text or number"
    return f"longer than {limit >> 10} KiB" if len(data) > limit else ""
