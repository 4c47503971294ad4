"""Copying and saving what a reply says, and the thought on the whole screen."""

from __future__ import annotations

from tui.actions.kinds import Action, Moment, Where

ACTIONS: tuple[Action, ...] = (
    Action(
        "copy_message",
        "Copy message",
        "Copies the selected message, or the newest reply. A digit right after it copies that code block "
        "instead. `/copy rendered` copies it as it reads, `/copy 2` the second code block.",
        "Reading",
        Where.TRANSCRIPT,
        ("y",),
        slash="copy",
        takes="[raw|rendered|N]",
        hint="copy",
        moments=(Moment.TRANSCRIPT,),
    ),
    Action(
        "copy_chat",
        "Copy whole chat",
        "Copies all messages of the chat that are known, as Markdown.",
        "Reading",
        Where.TRANSCRIPT,
        ("Y",),
        slash="copy_chat",
    ),
    Action(
        "save_code",
        "Save a code block",
        "Saves a code block of the selected or newest reply to a file; a digit says which.",
        "Reading",
        Where.TRANSCRIPT,
        ("s",),
        slash="save_code",
        takes="[N [PATH]]",
    ),
    Action(
        "keep_thoughts",
        "Send earlier thoughts",
        "Switches whether the thoughts of earlier replies are sent to the model with each message.",
        "Thinking",
        slash="keep_thoughts",
    ),
    Action(
        "thought_copy", "Copy the thought", "Copies it.", "Thinking", Where.THOUGHT, ("y",), palette=False
    ),
    Action(
        "thought_search",
        "Search in the thought",
        "Looks for words; Enter goes to the first place.",
        "Thinking",
        Where.THOUGHT,
        ("slash",),
        palette=False,
    ),
    Action(
        "thought_next",
        "Next place",
        "Goes to the next place found.",
        "Thinking",
        Where.THOUGHT,
        ("n",),
        palette=False,
    ),
    Action(
        "thought_before",
        "Place before",
        "Goes to the place found before.",
        "Thinking",
        Where.THOUGHT,
        ("N",),
        palette=False,
    ),
    Action(
        "thought_top",
        "First line",
        "Goes to the first line.",
        "Thinking",
        Where.THOUGHT,
        ("g", "home"),
        palette=False,
    ),
    Action(
        "thought_end",
        "Last line",
        "Goes to the last line.",
        "Thinking",
        Where.THOUGHT,
        ("G", "end"),
        palette=False,
    ),
    Action(
        "thought_down", "Line below", "Scrolls down.", "Thinking", Where.THOUGHT, ("j", "down"), palette=False
    ),
    Action("thought_up", "Line above", "Scrolls up.", "Thinking", Where.THOUGHT, ("k", "up"), palette=False),
    Action(
        "thought_page_down",
        "Page down",
        "Scrolls a page.",
        "Thinking",
        Where.THOUGHT,
        ("pagedown", "space"),
        palette=False,
    ),
    Action(
        "thought_page_up",
        "Page up",
        "Scrolls a page back.",
        "Thinking",
        Where.THOUGHT,
        ("pageup",),
        palette=False,
    ),
    Action(
        "thought_close",
        "Close",
        "Goes back to the transcript.",
        "Thinking",
        Where.THOUGHT,
        ("escape", "o", "q"),
        palette=False,
    ),
)
