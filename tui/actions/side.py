"""The left pane."""

from __future__ import annotations

from tui.actions.kinds import SIDE, Action, Moment, Where

ACTIONS: tuple[Action, ...] = (
    Action(
        "up",
        "Up",
        "Moves up in the lists.",
        "Chats",
        Where.SIDE,
        ("up", "k"),
        palette=False,
    ),
    Action(
        "down",
        "Down",
        "Moves down in the lists.",
        "Chats",
        Where.SIDE,
        ("down", "j"),
        palette=False,
    ),
    Action(
        "use",
        "Open or use",
        "Opens the chat or the run; loads the model and uses it in this chat; "
        "switches the adapter on or off.",
        "Chats",
        Where.SIDE,
        ("enter",),
        hint="open or use",
        moments=SIDE,
        palette=False,
    ),
    Action(
        "delete_row",
        "Delete the chat",
        "Moves the chat under the cursor to the trash; z brings it back.",
        "Chats",
        Where.SIDE,
        ("d", "delete"),
        hint="delete",
        moments=(Moment.CHATS,),
        palette=False,
    ),
    Action(
        "undo_row",
        "Undo the deletion",
        "Brings the chat deleted last back.",
        "Chats",
        Where.SIDE,
        ("z",),
        palette=False,
    ),
    Action(
        "unload_row",
        "Unload the model",
        "Frees the memory of the model under the cursor.",
        "Models",
        Where.SIDE,
        ("u",),
        hint="unload",
        moments=(Moment.MODELS,),
        palette=False,
    ),
    Action(
        "leave_row",
        "Cancel a load, or go back",
        "Cancels the load of the model under the cursor; else goes back to the composer.",
        "Models",
        Where.SIDE,
        ("escape",),
        hint="back",
        moments=SIDE,
        palette=False,
    ),
    Action(
        "help_row",
        "Help",
        "Shows every key and command.",
        "Screen",
        Where.SIDE,
        ("question_mark",),
        palette=False,
    ),
)
