"""The command palette: every action of the table that makes sense there, with its key."""

from __future__ import annotations

from tui.actions import ACTIONS, Action, key_word
from tui.actions.keyed import keys_of
from tui.modals.picker import Choice, Picker
from tui.widgets.lines import line


def palette() -> Picker:
    """Dismisses with the id of an action."""
    choices = [
        Choice(action.id, line(action.label), line((_keys(action), "$thought")), _words(action))
        for action in ACTIONS
        if action.palette
    ]
    return Picker("Commands", choices, placeholder="Type a few letters", empty="No command matches.")


def _keys(action: Action) -> str:
    slash = f"/{action.slash}" if action.slash else ""
    keys = [key_word(key) for key in keys_of(action)[:1]]
    return "   ".join(word for word in (slash, *keys) if word)


def _words(action: Action) -> str:
    return f"{action.label} {action.slash} {action.help}"
