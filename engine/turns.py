"""From a stored path to what a model is asked: which messages are sent, and as what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.backend import Turn
from engine.chat.files import with_files
from engine.protocol.specs import ChatSettings, Message


def sent(path: Iterable[Message]) -> list[Message]:
    """The messages of a path that a prompt is made of.

    A reply that came to nothing is left out with its question, or two questions would stand in a row.
    """
    kept: list[Message] = []
    for message in path:
        if message.role != "assistant" or message.text or message.extra:
            kept.append(message)
        elif kept and kept[-1].id == message.parent and kept[-1].role == "user":
            kept.pop()
    return kept


def turn_of(message: Message) -> Turn:
    """A stored message as a prompt has it, its files before its text."""
    return Turn(message.role, with_files(message.text, message.files), message.thinking, message.images)


def prompt_rows(messages: Sequence[Message], settings: ChatSettings) -> list[dict[str, str]]:
    """A prompt as datasets have it: role and content, the system prompt first.

    Earlier thoughts are there as `reasoning_content` where they were sent.
    """
    rows = [{"role": "system", "content": settings.system}] if settings.system.strip() else []
    for message in messages:
        turn = turn_of(message)
        rows.append(said(turn.role, turn.text, turn.thinking if settings.keep_thoughts else ""))
    return rows


def said(role: str, content: str, thinking: str = "") -> dict[str, str]:
    """One message of a dataset's row."""
    row = {"role": role, "content": content}
    return row | {"reasoning_content": thinking} if thinking else row
