"""A chat as one row of training data: its shown path as messages."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from engine.chat.files import with_files
from engine.interchange.values import table
from engine.protocol.specs import ChatInfo, Message

_KEPT = ("tool_calls", "tool_call_id", "function_call", "name")


def path_of(chat: ChatInfo, messages: Iterable[Message]) -> list[Message]:
    """The messages from the root to the chat's head, out of its whole tree."""
    known = {message.id: message for message in messages}
    path: list[Message] = []
    at = known.get(chat.head or "")
    while at is not None:
        path.append(at)
        at = known.pop(at.parent, None) if at.parent else None
    return path[::-1]


def row(chat: ChatInfo, messages: Iterable[Message]) -> str:
    """One line of JSON, without its newline; empty when no reply was written on the path."""
    said: list[dict[str, Any]] = []
    if chat.settings.system:
        said.append({"role": "system", "content": chat.settings.system})
    for message in path_of(chat, messages):
        if message.text or message.extra:
            said.append(_said(message))
    if not any(each["role"] == "assistant" for each in said):
        return ""
    return json.dumps({"messages": said}, ensure_ascii=False)


def _said(message: Message) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message.role, "content": with_files(message.text, message.files)}
    if message.thinking.strip():
        said["reasoning_content"] = message.thinking
    kept = table(_loaded(message.extra))
    return said | {key: kept[key] for key in _KEPT if key in kept}


def _loaded(extra: str) -> Any:
    try:
        return json.loads(extra) if extra else None
    except (ValueError, RecursionError):
        return None
