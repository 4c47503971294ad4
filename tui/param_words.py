"""What the parameters panel says of each value: its name, whose it is, and what it means."""

from __future__ import annotations

from engine.api import specs
from tui.format import rate, seconds
from tui.sampling import Number, words

LABELS = {
    "temperature": "Temperature",
    "top_k": "Top-k",
    "top_p": "Top-p",
    "min_p": "Min-p",
    "repetition_penalty": "Repetition penalty",
    "seed": "Seed",
    "max_tokens": "Longest reply",
    "context": "Context",
    "overflow": "When it is full",
    "think": "Thinking",
    "think_budget": "Thinking budget",
    "keep_thoughts": "Earlier thoughts",
}
PLACEHOLDERS = {"seed": "new each time", "max_tokens": "as fits", "think_budget": "no cap"}
"""What stands in a field that the chat leaves open and the model says nothing of."""
_UNITS = {"max_tokens": "tokens", "context": "tokens", "think_budget": "tokens"}
_OPEN = {
    "seed": "stored with each reply",
    "max_tokens": "up to the context",
    "think_budget": "as long as it wants",
}


def number_words(field: str, mine: Number | None, has: Number | None, more: str = "") -> str:
    """`model's own`; `this chat · model's own 0.6`. `mine` is the chat's value, `has` the model's."""
    unit = f"{_UNITS[field]} · " if field in _UNITS else ""
    if mine is not None:
        others = f" · model's own {words(has)}" if has is not None and has != mine else ""
        return f"this chat{others}{' · ' + more if more else ''}"
    if field in _OPEN:
        return _OPEN[field]
    return f"{unit}model's own" if has is not None else "model's own, once it is loaded"


def switch_words(field: str, chosen: str, model: specs.ModelInfo | None) -> str:
    """Whose a choice is, or why there is none; and what it does where its name does not say it."""
    if field == "think" and model is not None and model.thinking != "switchable":
        return "cannot be switched"
    if field == "overflow":
        return {
            "drop": "default · left out of the prompt",
            "summarise": "this chat · written once",
            "stop": "this chat · nothing is sent",
        }[chosen]
    if field == "keep_thoughts":
        return "this chat · they take room" if chosen == "on" else "default · as models are trained"
    return "default" if chosen == "on" else "this chat"


def budget_seconds(budget: int, tokens_per_s: float) -> str:
    """`about 50 s at 41 tok/s`; empty while no speed was measured."""
    if tokens_per_s <= 0:
        return ""
    return f"about {seconds(budget / tokens_per_s)} at {rate(tokens_per_s)}"
