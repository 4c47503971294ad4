"""Which keys an action has here and now: the table's, unless the keymap file says otherwise."""

from __future__ import annotations

from collections.abc import Mapping

from tui.actions.kinds import Action

_MOVING = frozenset(("up", "down", "left", "right", "home", "end", "pageup", "pagedown", "insert", "delete"))
_SWALLOWED = frozenset(("enter", "tab", "escape", "space"))
"""With Alt held they arrive as they are, or not at all."""
_FUNCTION = frozenset(f"f{number}" for number in range(1, 21))
_CTRL = frozenset("abcdefghjklnopqrstuvwxyz") | {
    "backslash",
    "right_square_bracket",
    "circumflex_accent",
    "underscore",
    "space",
    "at",
}
"""Ctrl+I is Tab and Ctrl+M is Enter: a terminal sends the same byte for both."""


class _Here:
    """What is known about the keys of this terminal and this person."""

    chosen: Mapping[str, tuple[str, ...]] = {}
    reports_all = False


def choose(keys: Mapping[str, tuple[str, ...]]) -> None:
    """Use these keys, by action id, in place of the table's."""
    _Here.chosen = keys


def report_all(reports: bool) -> None:
    """Whether the terminal tells every key with its modifiers (the kitty protocol)."""
    _Here.reports_all = reports


def chosen_keys(action: Action) -> tuple[str, ...]:
    """All keys that the action answers."""
    return _Here.chosen.get(action.id, action.keys)


def keys_of(action: Action) -> tuple[str, ...]:
    """The action's keys that arrive here, the one to show first; all of them where none would."""
    keys = chosen_keys(action)
    plain = tuple(key for key in keys if plain_sends(key))
    if not _Here.reports_all:
        return plain or keys
    return (*(key for key in keys if key not in plain), *plain)


def plain_sends(key: str) -> bool:
    """Whether a terminal without the kitty protocol can send this key (as Textual names it)."""
    *modifiers, base = key.split("+")
    held = frozenset(modifiers)
    if not held:
        return True
    if base in _MOVING or base in _FUNCTION:
        return held <= {"ctrl", "shift", "alt"}
    if held == {"ctrl"}:
        return base in _CTRL
    if held == {"shift"}:
        return base == "tab"
    return held == {"alt"} and base not in _SWALLOWED
