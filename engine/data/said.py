"""Messages of a row, from what a file calls them."""

from __future__ import annotations

from typing import Any

from engine.data.rows import Said

ROLES = ("system", "user", "assistant")
FROM = {
    "human": "user", "user": "user", "system": "system", "gpt": "assistant", "assistant": "assistant",
    "chatgpt": "assistant", "bard": "assistant", "bing": "assistant", "model": "assistant",
}  # fmt: skip
"""Whom ShareGPT's `from` means."""
EMPTY = "empty"
_OPEN, _CLOSE = "<think>", "</think>"


class Bad(Exception):
    """A row that cannot be used; `key` says where."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(what)
        self.key = key
        self.what = what


def as_messages(key: str, listed: Any) -> tuple[Said, ...]:
    """A list of messages, `role`/`content` or `from`/`value`; raises Bad with the place of the fault."""
    if not isinstance(listed, list):
        raise Bad(key, "not a list of messages")
    return tuple(_said(f"{key}[{place}]", item) for place, item in enumerate(listed))


def said_by(key: str, role: str, value: Any) -> Said:
    """One text as a message; raises Bad where it is none, or is empty."""
    if not isinstance(value, str):
        raise Bad(key, "missing, or not a text")
    thinking, text = _thought(value) if role == "assistant" else ("", value)
    if not text.strip():
        raise Bad(key, EMPTY)
    return Said(role, text, thinking)


def ending(said: tuple[Said, ...]) -> tuple[Said, ...]:
    """The chat up to its last answer; raises Bad where there is none, or no question before it."""
    while said and said[-1].role != "assistant":
        said = said[:-1]  # nothing follows it, so there is nothing to learn from it
    if not said:
        raise Bad("messages", "no assistant message to learn from")
    if not any(each.role == "user" for each in said):
        raise Bad("messages", "no user message before the answer")
    return said


def _said(where: str, item: Any) -> Said:
    if not isinstance(item, dict):
        raise Bad(where, "not an object")
    role_key, text_key = ("from", "value") if "from" in item and "role" not in item else ("role", "content")
    role = item.get(role_key)
    if role_key == "from":
        role = FROM.get(role.lower(), role) if isinstance(role, str) else role
    if role not in ROLES:
        raise Bad(f"{where}.{role_key}", f"{str(role)[:40]!r} is none of {', '.join(ROLES)}")
    said = said_by(f"{where}.{text_key}", role, _joined(item.get(text_key)))
    thinking = item.get("reasoning_content") or ""
    if not isinstance(thinking, str):
        raise Bad(f"{where}.reasoning_content", "not a text")
    return Said(said.role, said.content, thinking) if thinking else said


def _joined(content: Any) -> Any:
    """The text of a list of text parts; anything else as it is."""
    if isinstance(content, list) and all(isinstance(part, dict) and "text" in part for part in content):
        return "".join(str(part["text"]) for part in content)
    return content


def _thought(text: str) -> tuple[str, str]:
    """(thinking, answer) of a text that begins with a think block: templates want them apart."""
    bare = text.lstrip()
    if not bare.startswith(_OPEN) or _CLOSE not in bare:
        return "", text
    thinking, _, answer = bare.removeprefix(_OPEN).partition(_CLOSE)
    return thinking.strip("\n"), answer.lstrip("\n")
