"""The composer."""

from __future__ import annotations

from tui.actions.kinds import Action, Moment, Where

ACTIONS: tuple[Action, ...] = (
    Action(
        "complete",
        "Complete a command or a path",
        "Takes the suggestion, a command or a file to attach; without one, moves to the next pane.",
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
        "At the top of the composer: brings back what you sent before, that begins as typed where there is "
        "such; empty, it takes back a prompt that still waits. In suggestions: moves up.",
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
    Action(
        "word_left",
        "Word before",
        "Moves to the start of the word, as Ctrl+Left does.",
        "Chat",
        Where.COMPOSER,
        ("alt+b",),
        palette=False,
    ),
    Action(
        "word_right",
        "Word after",
        "Moves to the end of the word, as Ctrl+Right does.",
        "Chat",
        Where.COMPOSER,
        ("alt+f",),
        palette=False,
    ),
    Action(
        "delete_word",
        "Delete the word",
        "Deletes to the end of the word; Ctrl+W deletes to its start.",
        "Chat",
        Where.COMPOSER,
        ("alt+d",),
        palette=False,
    ),
    Action(
        "editor",
        "Write in $EDITOR",
        "Opens what you write in $VISUAL or $EDITOR, big pastes opened; save and leave it to come back.",
        "Chat",
        keys=("ctrl+g",),
        slash="editor",
    ),
    Action(
        "file",
        "Attach a file",
        "Attaches a text file to your next message; typing @ in the composer completes its path.",
        "Chat",
        slash="file",
        takes="PATH",
    ),
    Action(
        "image",
        "Attach an image",
        "Attaches an image to your next message, for a model that sees (Qwen2.5-VL, Qwen3-VL); @ completes "
        "its path too.",
        "Chat",
        slash="image",
        takes="PATH",
    ),
    Action(
        "detach",
        "Take a file away",
        "Takes the newest attached file away, or the one named; `/detach undo` brings it back. "
        "Backspace twice at the start of the composer does the same.",
        "Chat",
        slash="detach",
        takes="[NAME]",
    ),
    Action(
        "take_back",
        "Take a waiting prompt back",
        "Takes the newest prompt that still waits for its turn back into the empty composer.",
        "Chat",
        slash="unsend",
    ),
)
