"""What one does with chats."""

from __future__ import annotations

from tui.actions.kinds import Action, Moment

ACTIONS: tuple[Action, ...] = (
    Action(
        "new_chat",
        "New chat",
        "Starts an empty chat. The model and the settings stay.",
        "Chats",
        keys=("ctrl+n",),
        slash="new",
        hint="new chat",
        moments=(Moment.CHATS,),
    ),
    Action(
        "search",
        "Search chats",
        "Finds words in messages and thoughts of all chats.",
        "Chats",
        keys=("ctrl+r",),
        slash="search",
        takes="[WORDS]",
        hint="search",
        moments=(Moment.CHATS,),
    ),
    Action(
        "previous_chat",
        "Chat above",
        "Opens the chat above this one in the list.",
        "Chats",
        keys=("ctrl+pageup",),
    ),
    Action(
        "next_chat",
        "Chat below",
        "Opens the chat below this one in the list.",
        "Chats",
        keys=("ctrl+pagedown",),
    ),
    Action(
        "system",
        "System prompt",
        "Sets this chat's system prompt; alone it shows the present one, `/system -` clears it.",
        "Chats",
        slash="system",
        takes="[TEXT]",
    ),
    Action(
        "set",
        "Sampling",
        "Sets temperature, top_k, top_p, min_p, repetition_penalty, seed or max_tokens for this chat; "
        "`/set NAME auto` gives it back to the model.",
        "Chats",
        slash="set",
        takes="NAME VALUE",
    ),
    Action(
        "delete_chat",
        "Delete this chat",
        "Moves the chat to the trash. `z` in the list, or the palette, brings it back.",
        "Chats",
        slash="delete",
    ),
    Action(
        "undo_delete",
        "Bring the deleted chat back",
        "Takes the chat that was deleted last out of the trash.",
        "Chats",
        slash="undo",
    ),
)
