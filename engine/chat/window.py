"""Fits a chat into the model's context by leaving out its oldest turns."""

from __future__ import annotations

from collections.abc import Callable

from engine.backend import Turn
from engine.protocol.errors import fault


def fit(turns: tuple[Turn, ...], count: Callable[[tuple[Turn, ...]], int], budget: int) -> tuple[Turn, ...]:
    """The longest end of the chat that starts with a user's turn and counts at most `budget` tokens.

    `count` renders and tokenises; it is called about log2(turns) times. The last user's turn always stays;
    raises EngineError `prompt_too_long` when it alone does not fit. Leading system turns are kept.
    """
    if count(turns) <= budget:
        return turns
    head = _leading_system(turns)
    starts = [place for place in range(head, len(turns)) if turns[place].role == "user"]

    def ending(index: int) -> tuple[Turn, ...]:
        return turns[:head] + turns[starts[index] :]

    alone = ending(len(starts) - 1) if starts else turns
    if (tokens := count(alone)) > budget:
        raise fault(
            "prompt_too_long",
            f"The message is too long for the model: {tokens:,} tokens, and {budget:,} fit",
            "The template, the system prompt and room for a reply are part of it",
            "Shorten the message or the system prompt, or choose a model with a longer context",
        )
    low, high = 0, len(starts) - 1
    while low < high:
        middle = (low + high) // 2
        if count(ending(middle)) <= budget:
            high = middle
        else:
            low = middle + 1
    return ending(low)


def _leading_system(turns: tuple[Turn, ...]) -> int:
    for place, turn in enumerate(turns):
        if turn.role != "system":
            return place
    return len(turns)
