"""Textual bindings, made from the table of actions."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from tui.actions import Where, in_place


def bindings(where: Where) -> list[BindingType]:
    """For a class's BINDINGS: every action of this place that has a key."""
    return [
        Binding(
            ",".join(action.keys), action.id, action.label, show=False, id=action.id, priority=action.priority
        )
        for action in in_place(where)
        if action.keys
    ]
