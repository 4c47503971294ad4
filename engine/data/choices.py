"""Rows of a test with several answers to choose from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from engine.data.rows import Said
from engine.protocol.errors import fault

LIMIT = 64
"""Choices of a row at most."""
QUESTION = ("question", "prompt", "query", "input")
ANSWER = ("answer", "label", "answer_index", "correct")


class ChoiceRow(msgspec.Struct, frozen=True):
    """A question, its choices, and which of them is right."""

    line: int
    messages: tuple[Said, ...]
    choices: tuple[str, ...]
    right: int
    """0-based."""


def has_choices(path: Path) -> bool:
    """Whether the first row of a JSONL file has a key `choices`. Raises OSError."""
    with open(path, "rb") as file:
        for line in file:
            if line.strip():
                row = _decoded(line)
                return isinstance(row, dict) and "choices" in row
    return False


def choice_rows(path: Path, limit: int = 0) -> tuple[list[ChoiceRow], int]:
    """(usable rows, how many were left out) of a JSONL file; 0 takes all.

    A row is {"question" or "prompt" or "messages", "choices": [...], "answer": place from 0, letter or text}.
    Raises EngineError `data_kind` when no row is one, and OSError.
    """
    rows: list[ChoiceRow] = []
    bad = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            if limit and len(rows) >= limit:
                break
            row = _row(number, _decoded(line))
            if row is None:
                bad += 1
            else:
                rows.append(row)
    if not rows:
        raise fault(
            "data_kind",
            f"{path.name} has no row with choices",
            'A row is {"question": ..., "choices": [...], "answer": 0}',
            "Choose another metric, or another file",
        )
    return rows, bad


def _row(line: int, value: Any) -> ChoiceRow | None:
    if not isinstance(value, dict) or not isinstance(value.get("choices"), list):
        return None
    choices = tuple(each for each in value["choices"] if isinstance(each, str) and each.strip())
    messages = _messages(value)
    if not messages or not 2 <= len(choices) == len(value["choices"]) <= LIMIT:
        return None
    answer = next((value[key] for key in ANSWER if key in value), None)
    right = _place(answer, choices)
    return None if right is None else ChoiceRow(line, messages, choices, right)


def _messages(value: dict[str, Any]) -> tuple[Said, ...]:
    listed = value.get("messages")
    if isinstance(listed, list):
        found = [
            Said(each["role"], each["content"])
            for each in listed
            if isinstance(each, dict)
            and each.get("role") in ("system", "user", "assistant")
            and isinstance(each.get("content"), str)
        ]
        return tuple(found) if len(found) == len(listed) and found and found[-1].role == "user" else ()
    question = next((value[key] for key in QUESTION if isinstance(value.get(key), str)), "")
    return (Said("user", question),) if question.strip() else ()


def _place(answer: Any, choices: tuple[str, ...]) -> int | None:
    if isinstance(answer, bool):
        return None
    if isinstance(answer, int):
        return answer if 0 <= answer < len(choices) else None
    if not isinstance(answer, str):
        return None
    if answer in choices:
        return choices.index(answer)
    letter = ord(answer.strip().upper()) - ord("A") if len(answer.strip()) == 1 else -1
    return letter if 0 <= letter < len(choices) else None


def _decoded(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
