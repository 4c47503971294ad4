"""Preferences and votes: two answers to one prompt, or one answer and its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.data.rows import PairRow, Said, VoteRow
from engine.data.said import Bad, as_messages, ending, said_by

HUMAN, ASSISTANT = "\n\nHuman:", "\n\nAssistant:"
"""Turns of Anthropic's texts of preferences, whose prompt stands in both answers."""


def pair_of(line: int, row: Mapping[str, Any]) -> PairRow:
    """A preference whose answers are texts or lists of messages, the prompt beside or before them.

    Raises Bad with the key.
    """
    better, worse = _side("chosen", row["chosen"]), _side("rejected", row["rejected"])
    prompt = _prompt(row)
    shared = better[:-1]
    if shared:
        if shared != worse[:-1]:
            raise Bad("rejected", "does not follow the same prompt as `chosen`")
        head = tuple(said for said in prompt if said.role == "system")
        prompt = shared if shared[0].role == "system" else head + shared
    if not any(said.role == "user" for said in prompt):
        raise Bad("prompt", "missing")
    if better[-1] == worse[-1]:
        raise Bad("rejected", "the same as `chosen`")
    return PairRow(line, prompt, better[-1], worse[-1])


def vote_of(line: int, said: tuple[Said, ...], good: bool) -> VoteRow:
    """Raises Bad where it does not end with an answer."""
    return VoteRow(line, ending(said), good)


def _prompt(row: Mapping[str, Any]) -> tuple[Said, ...]:
    value = next((row[key] for key in ("prompt", "question", "input", "instruction") if row.get(key)), None)
    head = (said_by("system", "system", row["system"]),) if row.get("system") else ()
    if value is None:
        return head
    return head + (as_messages("prompt", value) if isinstance(value, list) else _turns("prompt", value))


def _side(key: str, value: Any) -> tuple[Said, ...]:
    """One answer, with the prompt before it where it stands there."""
    if isinstance(value, list):
        said = as_messages(key, value)
    elif isinstance(value, dict):
        said = as_messages(key, [value])
    elif isinstance(value, str) and HUMAN in value and ASSISTANT in value:
        said = _turns(key, value)
    else:
        said = (said_by(key, "assistant", value),)
    if not said or said[-1].role != "assistant":
        raise Bad(key, "does not end with an answer")
    return said


def _turns(key: str, value: Any) -> tuple[Said, ...]:
    """A text as messages: one of the user, or the turns of a dialogue of Human and Assistant."""
    if not isinstance(value, str) or not value.startswith(HUMAN):
        return (said_by(key, "user", value),)
    said: list[Said] = []
    for asked in value.split(HUMAN)[1:]:
        question, *answers = asked.split(ASSISTANT)
        said.append(said_by(key, "user", question.strip()))
        said += [said_by(key, "assistant", answer.strip()) for answer in answers if answer.strip()]
    return tuple(said)
