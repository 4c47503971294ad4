"""Messages as OpenAI's API and training data have them, and ShareGPT's conversations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.interchange.build import ROLES, Builder
from engine.interchange.found import Found, Skipped
from engine.interchange.values import dump, items, moment, table, text

THINKING = ("reasoning_content", "thinking", "reasoning")
_KEPT = ("tool_calls", "tool_call_id", "function_call", "name")
"""Keys of a message that Qwill has no place for and writes out again."""


def is_message(value: Any) -> bool:
    """Whether it is one message of a chat: who speaks, and what."""
    return isinstance(value, dict) and (
        ("role" in value and ("content" in value or "tool_calls" in value))
        or ("from" in value and "value" in value)
    )


def is_chat(value: Any) -> bool:
    """Whether it holds a list of such messages."""
    return isinstance(value, dict) and any(map(is_message, _said(value)))


def read(value: dict[str, Any], place: str, skip: Callable[[Skipped], None]) -> Found | None:
    """One chat."""
    builder = Builder(place, skip)
    builder.system = text(value.get("system"))
    fill(builder, _said(value))
    return builder.done(
        title=value.get("title") or value.get("name"),
        created=moment(value.get("created") or value.get("create_time")),
        updated=moment(value.get("updated") or value.get("update_time")),
    )


def fill(builder: Builder, said: list[Any]) -> None:
    """Add messages one after the other."""
    parent: str | None = None
    for number, each in enumerate(said, 1):
        where = f"message {number}"
        if not is_message(each):
            builder.skip(where, "not a message with a role and a content")
            continue
        name = each.get("role") or each.get("from")
        role = ROLES.get(name.lower()) if isinstance(name, str) else None
        if role is None:
            builder.skip(where, "nobody knows who speaks")
            continue
        content = each.get("content") if "content" in each else each.get("value")
        words, whole = said_in(content)
        extra = {key: each[key] for key in _KEPT if each.get(key)}
        if not whole:
            extra["content"] = content
        thinking = next((text(each[key]) for key in THINKING if text(each.get(key)).strip()), "")
        parent = builder.add(
            role,
            words,
            parent=parent,
            thinking=thinking if role == "assistant" else "",
            where=where,
            extra=dump(extra) if extra else "",
            model=text(each.get("model"))[:200],
            created=moment(each.get("created") or each.get("timestamp")),
        )


def said_in(content: Any) -> tuple[str, bool]:
    """The words of a content that is a text or a list of parts; and whether that is all there is."""
    if content is None:
        return "", True
    if isinstance(content, str):
        return text(content), True
    if not isinstance(content, list):
        return "", False
    words: list[str] = []
    whole = True
    for part in content:
        if isinstance(part, str):
            words.append(text(part))
        elif isinstance(table(part).get("text"), str):
            words.append(text(part["text"]))
        else:
            kind = text(table(part).get("type") or table(part).get("content_type")) or "something"
            words.append(f"[{kind[:40]}]")
            whole = False
    return "\n\n".join(filter(str.strip, words)), whole


def _said(value: dict[str, Any]) -> list[Any]:
    names = ("messages", "conversations", "conversation")
    return next((found for name in names if (found := items(value.get(name)))), [])
