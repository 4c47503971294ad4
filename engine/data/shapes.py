"""What a record is: chats, pairs, votes or text, told by its keys, or named by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.data.pairs import pair_of, vote_of
from engine.data.rows import AnyRow, Row, TextRow
from engine.data.said import Bad, as_messages, ending, said_by

PROMPTS = ("prompt", "question", "query", "user", "instruction", "input")
ANSWERS = ("answer", "completion", "response", "output", "assistant", "reply")
CHATS = ("messages", "conversations", "conversation", "dialog", "chat")
MEANINGS = (
    "messages", "prompt", "answer", "input", "system", "chosen", "rejected", "label", "text",
)  # fmt: skip
"""What a column can be, for mapping by hand (TrainSpec.columns)."""
LABELS: dict[str, bool] = {
    "true": True, "1": True, "good": True, "yes": True, "desirable": True, "up": True,
    "false": False, "0": False, "bad": False, "no": False, "undesirable": False, "down": False,
}  # fmt: skip
FORMS = ("messages", "prompt and answer", "alpaca", "sharegpt", "preference", "kto", "text")


def named(record: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """The record with the columns that were mapped by hand under the names that they mean.

    Raises Bad where a named column is missing.
    """
    row = {key.strip().lower(): value for key, value in record.items() if isinstance(key, str)}
    for meaning, name in columns.items():
        if name not in record:
            raise Bad(name, f"missing, and the column of `{meaning}` (keys here: {_keys(record)})")
        row[meaning] = record[name]
    return row


def form_of(row: Mapping[str, Any]) -> str:
    """One of FORMS; empty where its keys tell nothing. `row` is as `named` returns it."""
    if "chosen" in row and "rejected" in row:
        return "preference"
    talk = next((key for key in CHATS if isinstance(row.get(key), list)), "")
    asked, answered = _first(row, PROMPTS), _first(row, ANSWERS)
    if (talk or (asked and answered)) and verdict(row.get("label")) is not None:
        return "kto"
    if talk:
        first = next(iter(row[talk]), None)
        return "sharegpt" if isinstance(first, dict) and "from" in first else "messages"
    if asked and answered:
        return "alpaca" if asked == "instruction" else "prompt and answer"
    return "text" if "text" in row else ""


def row_of(line: int, record: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[str, AnyRow]:
    """(form, row) of a record; raises Bad with the key that keeps it out."""
    row = named(record, columns)
    form = form_of(row)
    if form == "preference":
        return form, pair_of(line, row)
    if form == "kto":
        good = verdict(row.get("label"))
        return form, vote_of(line, _chat(row), good is True)
    if form == "text":
        return form, TextRow(line, _text(row["text"]))
    if not form:
        raise _unknown(row, record)
    return form, Row(line, ending(_chat(row)))


def verdict(value: Any) -> bool | None:
    """A label as good or bad; None where it is neither."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float | str):
        return LABELS.get(str(value).removesuffix(".0").strip().lower())
    return None


def _chat(row: Mapping[str, Any]) -> tuple[Any, ...]:
    talk = next((key for key in CHATS if isinstance(row.get(key), list)), "")
    if talk:
        return as_messages(talk, row[talk])
    asked, answered = _first(row, PROMPTS), _first(row, ANSWERS)
    question = row[asked]
    head = [] if not row.get("system") else [said_by("system", "system", row["system"])]
    if isinstance(question, list):
        return (*head, *as_messages(asked, question), *_reply(answered, row[answered]))
    extra = row.get("input") if asked in ("instruction", "prompt") and answered != "input" else None
    if isinstance(extra, str) and extra.strip() and isinstance(question, str):
        question = f"{question}\n\n{extra}"
    return (*head, said_by(asked, "user", question), *_reply(answered, row[answered]))


def _reply(key: str, value: Any) -> tuple[Any, ...]:
    return as_messages(key, value) if isinstance(value, list) else (said_by(key, "assistant", value),)


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((name for name in names if name in row), "")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Bad("text", "not a text")
    if not value.strip():
        raise Bad("text", "empty")
    return value


def _keys(record: Mapping[str, Any]) -> str:
    return ", ".join(map(str, record))[:80] or "none"


def _unknown(row: Mapping[str, Any], record: Mapping[str, Any]) -> Bad:
    for key in CHATS:
        if key in row:
            return Bad(key, "not a list of messages")
    return Bad("messages", f"missing, and no other form is known by its keys (keys here: {_keys(record)})")
