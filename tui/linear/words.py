"""What the linear chat announces, as sentences. Pure."""

from __future__ import annotations

from engine.api import ErrorInfo, specs
from tui.format import percent, plural, roughly, seconds

QUARTERS = 4
"""A load is told at each of these steps."""
_ENDS: dict[specs.Finish, str] = {
    "stop": "Done",
    "length": "Cut at the most tokens allowed",
    "context": "The context is full",
    "cancelled": "Stopped",
    "interrupted": "Interrupted",
}


def thought(stats: specs.ReplyStats | None, took: float) -> str:
    """`Thought for 1.2 s, 61 tokens.`; `took` in seconds, where the engine has not counted yet."""
    if stats is None or not stats.thinking_tokens:
        return f"Thought for {seconds(took)}."
    count = roughly(stats.estimated) + plural(stats.thinking_tokens, "token")
    return f"Thought for {seconds(stats.thinking_s or took)}, {count}."


def ended(reply: specs.Message, took: float) -> str:
    """`Done, 41 tokens in 3.2 s.`, or how else it ended; `took` in seconds, loading not counted."""
    if reply.error is not None:
        return reply.error.sentence()
    word = _ENDS.get(reply.finish or "stop", "Failed")
    if reply.stats is None or not reply.stats.tokens:
        return f"{word}."
    count = roughly(reply.stats.estimated) + plural(reply.stats.tokens, "token")
    return f"{word}, {count} in {seconds(took)}.{_noted(reply.stats)}"


def _noted(stats: specs.ReplyStats) -> str:
    """Why a reply is not what was asked for."""
    return f" {stats.note.rstrip('.')}." if stats.note else ""


def lost(info: ErrorInfo) -> str:
    """The engine is out of reach."""
    return f"{info.title.rstrip('.')}. What was written is kept. /restart starts it again."


class LoadSteps:
    """Tells a load's progress at each quarter, each once."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._told = 0

    def tell(self, progress: float) -> str:
        """What to announce at this progress (0 to 1); empty for nothing new."""
        step = min(QUARTERS - 1, int(progress * QUARTERS))
        if step <= self._told:
            return ""
        self._told = step
        return f"Loading {self._model}: {percent(step / QUARTERS)}."


def settings(chat: specs.ChatInfo, adapter: str) -> str:
    """Who answers, in one sentence; `adapter` is the active one's name."""
    who = f"{chat.model} with {adapter}" if adapter else chat.model
    budget = chat.settings.think_budget
    thinks = "thinking" if chat.settings.think else "without thinking"
    cap = f", at most {plural(budget, 'token')} of it" if chat.settings.think and budget is not None else ""
    return f"{who} answers, {thinks}{cap}."
