"""The one table of actions: bindings, key hints, palette, slash commands and help all come from it."""

from __future__ import annotations

from tui.actions import (
    adapters,
    browser,
    chats,
    comparing,
    composer,
    copying,
    dialogs,
    inspecting,
    keeping,
    layers,
    memory,
    models,
    params,
    places,
    prompts,
    racing,
    reading,
    replies,
    running,
    screen,
    side,
    tour,
    train_form,
    training,
    versions,
)
from tui.actions.kinds import PLACED, Action, Moment, Where

__all__ = ["ACTIONS", "BY_ID", "BY_SLASH", "Action", "Moment", "Where", "hints", "in_place", "key_word"]

ACTIONS: tuple[Action, ...] = (
    *replies.ACTIONS,
    *chats.ACTIONS,
    *keeping.ACTIONS,
    *models.ACTIONS,
    *params.ACTIONS,
    *prompts.ACTIONS,
    *training.ACTIONS,
    *adapters.ACTIONS,
    *memory.ACTIONS,
    *screen.ACTIONS,
    *tour.ACTIONS,
    *reading.ACTIONS,
    *copying.ACTIONS,
    *versions.ACTIONS,
    *comparing.ACTIONS,
    *inspecting.ACTIONS,
    *side.ACTIONS,
    *composer.ACTIONS,
    *dialogs.ACTIONS,
    *browser.ACTIONS,
    *layers.ACTIONS,
    *running.ACTIONS,
    *train_form.ACTIONS,
    *racing.ACTIONS,
    *places.ACTIONS,
)
BY_ID = {action.id: action for action in ACTIONS}
BY_SLASH = {action.slash: action for action in ACTIONS if action.slash}

_KEY_WORDS = {
    "escape": "Esc",
    "enter": "Enter",
    "space": "Space",
    "tab": "Tab",
    "up": "↑",
    "down": "↓",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "question_mark": "?",
    "slash": "/",
    "home": "Home",
    "end": "End",
    "delete": "Del",
    "left": "←",
    "right": "→",
    "plus": "+",
    "minus": "-",
    "less_than_sign": "<",
    "greater_than_sign": ">",
}


def in_place(where: Where) -> list[Action]:
    """The actions whose keys work there."""
    return [action for action in ACTIONS if action.where is where]


def key_word(key: str) -> str:
    """`ctrl+pageup` as people write it: `Ctrl+PgUp`. Single letters stay as they are."""
    parts = key.split("+")
    words = [
        _KEY_WORDS.get(part, part if len(part) == 1 and len(parts) == 1 else part.title()) for part in parts
    ]
    return "+".join(words)


def hints(moment: Moment) -> list[Action]:
    """What the key hints show now: what works only here first, help last."""
    shown = [action for action in ACTIONS if moment in action.moments and action.id != "help"]
    shown.sort(key=lambda action: action.where is Where.CHAT and moment in PLACED)
    return [*shown, BY_ID["help"]]
