"""Dialogs."""

from __future__ import annotations

from tui.actions.kinds import Action, Where

ACTIONS: tuple[Action, ...] = (
    Action(
        "close",
        "Close",
        "Leaves the dialog and changes nothing.",
        "Dialogs",
        Where.DIALOG,
        ("escape",),
        palette=False,
    ),
    Action(
        "accept",
        "Take it",
        "Takes what is selected.",
        "Dialogs",
        Where.DIALOG,
        ("enter",),
        palette=False,
    ),
    Action(
        "answer_newline",
        "New line",
        "Starts a new line in an answer that may have several.",
        "Dialogs",
        Where.DIALOG,
        ("ctrl+j", "shift+enter", "alt+enter"),
        palette=False,
    ),
    Action(
        "cursor_up",
        "Up",
        "Moves up in the dialog's list.",
        "Dialogs",
        Where.DIALOG,
        ("up",),
        palette=False,
    ),
    Action(
        "cursor_down",
        "Down",
        "Moves down in the dialog's list.",
        "Dialogs",
        Where.DIALOG,
        ("down",),
        palette=False,
    ),
)
