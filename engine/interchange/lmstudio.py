"""LM Studio's conversation files: messages with versions, each in one step or in several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.interchange.build import ROLES, Builder
from engine.interchange.found import Found, Skipped
from engine.interchange.values import dump, items, moment, table, text
from engine.protocol.specs import Role

_TOOLS = ("toolCallRequest", "toolCallResult")


def is_chat(value: Any) -> bool:
    """Whether it is such a conversation."""
    return isinstance(value, dict) and any("versions" in table(each) for each in items(value.get("messages")))


def read(value: dict[str, Any], place: str, skip: Callable[[Skipped], None]) -> Found | None:
    """One conversation; what follows a message hangs on the version of it that was selected."""
    builder = Builder(place, skip)
    builder.system = text(value.get("systemPrompt"))
    parent: str | None = None
    for number, each in enumerate(items(value["messages"]), 1):
        versions = items(table(each).get("versions"))
        if not versions:
            builder.skip(f"message {number}", "no version in it")
            continue
        selected = table(each).get("currentlySelected")
        ends = [_version(builder, table(v), parent, f"message {number}") for v in versions]
        at = selected if isinstance(selected, int) and 0 <= selected < len(ends) else len(ends) - 1
        parent = ends[at]
    return builder.done(title=value.get("name"), created=moment(value.get("createdAt")), head=parent)


def _version(builder: Builder, version: dict[str, Any], parent: str | None, where: str) -> str | None:
    """Add one version and return the id of its last message."""
    name = version.get("role")
    role = ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        builder.skip(where, "nobody knows who speaks")
        return parent
    model = text(table(version.get("senderInfo")).get("senderName"))[:200] if role == "assistant" else ""
    if version.get("type") != "multiStep":
        words, _, extra = _parts(items(version.get("content")))
        return builder.add(role, words, parent=parent, where=where, model=model, extra=extra)
    thinking: list[str] = []
    said: list[str] = []
    for step in map(table, items(version.get("steps"))):
        if step.get("type") != "contentBlock":
            continue
        words, tools, extra = _parts(items(step.get("content")))
        if not tools:
            thought = table(step.get("style")).get("type") == "thinking"
            (thinking if thought else said).append(words)
            continue
        parent = _say(builder, role, parent, thinking, said, where, model)
        parent = builder.add("tool", words, parent=parent, where=where, extra=extra)
    return _say(builder, role, parent, thinking, said, where, model)


def _say(
    builder: Builder,
    role: Role,
    parent: str | None,
    thinking: list[str],
    said: list[str],
    where: str,
    model: str,
) -> str | None:
    """What was gathered since the last tool call, as one message."""
    thought, words = "\n\n".join(filter(str.strip, thinking)), "\n\n".join(filter(str.strip, said))
    thinking.clear()
    said.clear()
    return builder.add(role, words, parent=parent, thinking=thought, where=where, model=model)


def _parts(content: list[Any]) -> tuple[str, bool, str]:
    """The words of a content, whether tools were called in it, and the JSON of what has no words."""
    words: list[str] = []
    others: list[Any] = []
    for part in map(table, content):
        kind = text(part.get("type"))
        if isinstance(part.get("text"), str):
            words.append(text(part["text"]))
            continue
        others.append(part)
        if kind == "toolCallRequest":
            words.append(f"{text(part.get('name'))} {dump(part.get('parameters'))}".strip())
        elif kind == "toolCallResult":
            words.append(text(part.get("content")) or dump(part.get("content")))
        else:
            words.append(f"[{text(part.get('name')) or kind or 'something'}]"[:80])
    tools = any(part.get("type") in _TOOLS for part in others)
    return "\n\n".join(filter(str.strip, words)), tools, dump({"lmstudio": others}) if others else ""
