"""The rows that a run can learn from, whatever file they came from."""

from __future__ import annotations

import msgspec


class Said(msgspec.Struct, frozen=True):
    """One message of a row."""

    role: str
    content: str
    thinking: str = ""
    """From the key `reasoning_content`, where a row has it."""


class Row(msgspec.Struct, frozen=True):
    """One chat to learn from; it ends with an assistant's message."""

    line: int
    messages: tuple[Said, ...]


class TextRow(msgspec.Struct, frozen=True):
    """Plain text, for continued pretraining."""

    line: int
    text: str


class PairRow(msgspec.Struct, frozen=True):
    """A preference: two answers to one prompt."""

    line: int
    prompt: tuple[Said, ...]
    chosen: Said
    rejected: Said


class VoteRow(msgspec.Struct, frozen=True):
    """One answer and whether it is a good one (KTO); it ends with an assistant's message."""

    line: int
    messages: tuple[Said, ...]
    good: bool


AnyRow = Row | TextRow | PairRow | VoteRow
