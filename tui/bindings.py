"""Textual bindings, made from the table of actions."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from tui.actions import Where, in_place


def bindings(where: Where) -> list[BindingType]:
    """For a class's BINDINGS: every action of this place. One without a key can get one by the keymap file;
    until then it has one that no terminal sends."""
    return [
        Binding(
            ",".join(action.keys) or f"no_key_{action.id}",
            action.id,
            action.label,
            show=False,
            id=action.id,
            priority=action.priority,
        )
        for action in in_place(where)
    ]
