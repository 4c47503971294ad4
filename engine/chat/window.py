"""Fits a chat into the model's context by leaving out its oldest turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from engine.backend import Turn
from engine.protocol.errors import EngineError, fault
from engine.protocol.specs import ChatSettings, Overflow

REPLY_ROOM = 512
"""Tokens kept free for the reply, unless fewer are wanted or the context is small."""
Count = Callable[[tuple[Turn, ...]], int]
"""Tokens of some turns, the template and the system prompt included."""


class Window(NamedTuple):
    """What of a chat is sent."""

    turns: tuple[Turn, ...]
    dropped: tuple[int, ...]
    """Places of the turns that are left out, oldest first."""
    whole: int
    """Tokens of all turns."""
    tokens: int
    """Tokens of those that are sent; above the budget when the last question alone is."""


def context_size(model: int, settings: ChatSettings) -> int:
    """Tokens of prompt and reply together at most: the model's own, or the chat's cap below it."""
    return min(model, settings.context or model)


def prompt_budget(size: int, settings: ChatSettings) -> int:
    """Tokens that a prompt may take of a context of this size, so that room for a reply is left."""
    wanted = settings.sampling.max_tokens or REPLY_ROOM
    return size - max(1, min(wanted, REPLY_ROOM, size // 4))


def look(turns: tuple[Turn, ...], count: Count, budget: int) -> Window:
    """The longest end of the chat that starts with a user's turn and counts at most `budget` tokens.

    `count` renders and tokenises; it is called about log2(turns) times. The last user's turn and leading
    system turns always stay.
    """
    whole = count(turns)
    if whole <= budget:
        return Window(turns, (), whole, whole)
    head = leading_system(turns)
    starts = [place for place in range(head, len(turns)) if turns[place].role == "user"] or [head]
    low, high = 0, len(starts) - 1
    while low < high:
        middle = (low + high) // 2
        if count(turns[:head] + turns[starts[middle] :]) <= budget:
            high = middle
        else:
            low = middle + 1
    start = starts[low]
    kept = turns[:head] + turns[start:] if start > head else turns
    return Window(kept, tuple(range(head, start)), whole, count(kept))


def fit(turns: tuple[Turn, ...], count: Count, budget: int, overflow: Overflow = "drop") -> tuple[Turn, ...]:
    """The turns that are sent; see `look`.

    Raises EngineError `prompt_too_long` when the last user's turn alone does not fit, and `context_full`
    when something would be left out and `overflow` is `stop`.
    """
    window = look(turns, count, budget)
    if window.tokens > budget:
        raise _too_long(window.tokens, budget)
    if window.dropped and overflow == "stop":
        raise _full(window, budget)
    return window.turns


def front(turns: tuple[Turn, ...], last: Turn, count: Count, budget: int) -> int:
    """How many of the oldest turns count at most `budget` tokens together with `last` behind them."""
    low, high = 0, len(turns)
    while low < high:
        middle = (low + high + 1) // 2
        if count((*turns[:middle], last)) <= budget:
            low = middle
        else:
            high = middle - 1
    return low


def leading_system(turns: tuple[Turn, ...]) -> int:
    """How many system turns the chat begins with."""
    for place, turn in enumerate(turns):
        if turn.role != "system":
            return place
    return len(turns)


def _too_long(tokens: int, budget: int) -> EngineError:
    return fault(
        "prompt_too_long",
        f"The message is too long for the model: {tokens:,} tokens, and {budget:,} fit",
        "The template, the system prompt and room for a reply are part of it",
        "Shorten the message or the system prompt, or choose a model with a longer context",
    )


def _full(window: Window, budget: int) -> EngineError:
    return fault(
        "context_full",
        f"The context is full: the chat has {window.whole:,} tokens, and {budget:,} fit",
        "This chat is set to stop instead of leaving earlier messages out; your message is kept",
        "Let it drop or sum up the oldest messages (F10), start a new chat, or raise the context",
    )
