"""ChatGPT's export: conversations.json, each with a mapping of nodes that is a tree of messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.interchange.build import ROLES, Builder
from engine.interchange.found import Found, Skipped
from engine.interchange.graph import parents_first, rooted
from engine.interchange.plain import said_in
from engine.interchange.values import dump, items, moment, table, text

_HIDDEN = ("user_editable_context", "model_editable_context")
"""Instructions that ChatGPT adds by itself; they are no part of the talk."""


def is_chat(value: Any) -> bool:
    """Whether it is one conversation of such an export."""
    return isinstance(value, dict) and isinstance(value.get("mapping"), dict)


def read(value: dict[str, Any], place: str, skip: Callable[[Skipped], None]) -> Found | None:
    """One conversation, every branch of it."""
    builder = Builder(place, skip)
    nodes = {text(name): table(node) for name, node in value["mapping"].items()}
    parents = {name: _parent(node) for name, node in nodes.items()}
    for name, good in rooted(parents).items():
        if not good:
            builder.skip(f"node {name[:40]}", "its parents go in a circle")
    ids: dict[str, str | None] = {}
    thoughts: dict[str, str] = {}
    for name in parents_first(parents, _order(nodes, parents)):
        parent = parents[name] or ""
        pending = thoughts.get(parent, "")
        ids[name], left = _node(builder, nodes[name], ids.get(parent), pending, f"node {name[:40]}")
        if left:
            thoughts[name] = left
    return builder.done(
        title=value.get("title"),
        created=moment(value.get("create_time")),
        updated=moment(value.get("update_time")),
        head=ids.get(text(value.get("current_node"))),
    )


def _order(nodes: dict[str, dict[str, Any]], parents: dict[str, str | None]) -> list[str]:
    """Branches of one message in the order in which it lists them; the first listed are the oldest."""
    order: list[str] = []
    waiting = [name for name, parent in parents.items() if parent is None or parent not in nodes][::-1]
    seen = set(waiting)
    while waiting:
        name = waiting.pop()
        order.append(name)
        for child in reversed(items(nodes[name].get("children"))):
            if isinstance(child, str) and child not in seen and parents.get(child) == name:
                seen.add(child)
                waiting.append(child)
    return order + [name for name in nodes if name not in seen]


def _parent(node: dict[str, Any]) -> str | None:
    parent = node.get("parent")
    return text(parent) if isinstance(parent, str) else None


def _node(
    builder: Builder, node: dict[str, Any], parent: str | None, thoughts: str, where: str
) -> tuple[str | None, str]:
    """Add a node's message; returns its id, and the thoughts that wait for the answer below it."""
    message, content = table(node.get("message")), table(table(node.get("message")).get("content"))
    if not message:
        return parent, thoughts
    kind = text(content.get("content_type"))
    if kind in _HIDDEN:
        builder.skip(where, "instructions that ChatGPT adds by itself")
        return parent, thoughts
    if kind == "thoughts":
        return parent, "\n\n".join(filter(None, [thoughts, _thoughts(content)]))
    if kind == "reasoning_recap":
        return parent, thoughts
    author = table(message.get("author"))
    name = author.get("role")
    role = ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        builder.skip(where, "nobody knows who speaks")
        return parent, thoughts
    recipient = text(message.get("recipient"))
    if role == "assistant" and recipient not in ("", "all"):
        role = "tool"
    words, whole = _words(content)
    kept = role == "tool" or not whole
    added = builder.add(
        role,
        words,
        parent=parent,
        thinking=thoughts if role == "assistant" else "",
        where=where,
        created=moment(message.get("create_time")),
        model=text(table(message.get("metadata")).get("model_slug"))[:200] if role == "assistant" else "",
        extra=_extra(author, recipient, content) if kept and (words.strip() or not whole) else "",
    )
    return added, "" if role == "assistant" and added != parent else thoughts


def _words(content: dict[str, Any]) -> tuple[str, bool]:
    """What a content says; and whether that is all of it."""
    if "parts" in content:
        return said_in(content["parts"])
    for key in ("text", "result", "content"):
        if isinstance(content.get(key), str):
            return text(content[key]), True
    return "", not content


def _thoughts(content: dict[str, Any]) -> str:
    said = [table(each) for each in items(content.get("thoughts"))]
    return "\n\n".join(text(each.get("content")) or text(each.get("summary")) for each in said)


def _extra(author: dict[str, Any], recipient: str, content: dict[str, Any]) -> str:
    return dump({"chatgpt": {"author": author, "recipient": recipient, "content": content}})
