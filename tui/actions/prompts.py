"""Sample prompts."""

from __future__ import annotations

from tui.actions.kinds import Action

ACTIONS: tuple[Action, ...] = (
    Action(
        "prompt",
        "Sample prompts",
        "Lists prompts to start from, asks for their blanks, and puts the text into the composer.",
        "Chat",
        keys=("f7",),
        slash="prompt",
        takes="[NAME]",
        priority=True,
    ),
)
