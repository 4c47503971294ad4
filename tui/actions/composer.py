"""The composer."""

from __future__ import annotations

from tui.actions.kinds import Action, Moment, Where

ACTIONS: tuple[Action, ...] = (
    Action(
        "complete",
        "Complete a command",
        "Takes the suggested command; without one, moves to the next pane.",
        "Chat",
        Where.COMPOSER,
        ("tab",),
        hint="complete",
        moments=(Moment.COMPLETING,),
        palette=False,
    ),
    Action(
        "recall_older",
        "Earlier prompt",
        "At the top of the composer: brings back what you sent before. In suggestions: moves up.",
        "Chat",
        Where.COMPOSER,
        ("up",),
        palette=False,
    ),
    Action(
        "recall_newer",
        "Later prompt",
        "At the end of the composer: goes back to newer prompts. In suggestions: moves down.",
        "Chat",
        Where.COMPOSER,
        ("down",),
        palette=False,
    ),
    Action(
        "dismiss",
        "Close suggestions",
        "Closes the suggestions; without any, stops the reply or goes back.",
        "Chat",
        Where.COMPOSER,
        ("escape",),
        palette=False,
    ),
)
