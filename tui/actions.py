"""The one table of actions: bindings, key hints, palette, slash commands and help all come from it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Where(enum.Enum):
    """Where an action's keys work."""

    APP = "Everywhere"
    CHAT = "In the workbench"
    COMPOSER = "In the composer"
    TRANSCRIPT = "In the transcript"
    SIDE = "In chats and models"
    DIALOG = "In a dialog"


class Moment(enum.Enum):
    """Situations that the key hints tell apart; the first that holds is shown."""

    LOST = "lost"
    THINKING = "thinking"
    REPLYING = "replying"
    TRANSCRIPT = "transcript"
    CHATS = "chats"
    MODELS = "models"
    COMPLETING = "completing"
    COMPOSER = "composer"


@dataclass(frozen=True)
class Action:
    """One thing a person can do. `id` is also the name of the method that does it: `action_<id>`."""

    id: str
    label: str
    help: str
    group: str
    where: Where = Where.CHAT
    keys: tuple[str, ...] = ()
    """As Textual names them; the first is the one shown."""
    slash: str = ""
    """Name of its slash command, without the slash."""
    takes: str = ""
    """What the slash command takes, as help shows it; in brackets when it can be left out."""
    hint: str = ""
    """Its word among the key hints."""
    moments: tuple[Moment, ...] = ()
    """When the key hints show it."""
    priority: bool = False
    """Its keys come before those of the text field that has the focus."""
    palette: bool = True


_ALL = tuple(Moment)
_PLACED = (Moment.TRANSCRIPT, Moment.CHATS, Moment.MODELS)
_CALM = (Moment.COMPOSER, Moment.REPLYING, Moment.THINKING)

ACTIONS: tuple[Action, ...] = (
    # --- replies
    Action(
        "send",
        "Send",
        "Sends what you typed. It waits in the queue while a model loads or answers.",
        "Chat",
        Where.COMPOSER,
        ("enter",),
        hint="send",
        moments=(Moment.COMPOSER,),
        palette=False,
    ),
    Action(
        "newline",
        "New line",
        "Starts a new line in the composer. Shift+Enter does too where the terminal reports it.",
        "Chat",
        Where.COMPOSER,
        ("ctrl+j", "shift+enter", "alt+enter"),
        hint="newline",
        moments=(Moment.COMPOSER,),
        palette=False,
    ),
    Action(
        "leave",
        "Stop, or go back",
        "Stops the reply and keeps its text; with nothing to stop, leaves one layer.",
        "Chat",
        keys=("escape",),
        hint="stop",
        moments=(Moment.REPLYING, Moment.THINKING),
        palette=False,
    ),
    Action(
        "stop",
        "Stop the reply",
        "Ends the reply under way and keeps its text.",
        "Chat",
        slash="stop",
    ),
    Action(
        "answer_now",
        "Answer now",
        "Tells a thinking model to stop thinking and answer.",
        "Thinking",
        keys=("f6",),
        slash="answer",
        hint="answer now",
        moments=(Moment.THINKING,),
        priority=True,
    ),
    Action(
        "toggle_think",
        "Thinking on or off",
        "Turns thinking on or off for this chat.",
        "Thinking",
        keys=("ctrl+t",),
        hint="think",
        moments=_CALM,
    ),
    Action(
        "think",
        "Thinking on",
        "Turns thinking on for this chat. With text after it, the text is sent as it stands.",
        "Thinking",
        slash="think",
    ),
    Action(
        "no_think",
        "Thinking off",
        "Turns thinking off for this chat. With text after it, the text is sent as it stands.",
        "Thinking",
        slash="no_think",
    ),
    Action(
        "budget",
        "Thinking budget",
        "Caps thinking at so many tokens, then the model answers; `/budget off` takes the cap away.",
        "Thinking",
        slash="budget",
        takes="TOKENS",
    ),
    Action(
        "fold_all",
        "Fold or open all thoughts",
        "Folds all thoughts, or opens them all when none is open.",
        "Thinking",
        keys=("ctrl+o",),
        hint="fold",
        moments=(*_CALM, Moment.TRANSCRIPT),
    ),
    # --- chats
    Action(
        "new_chat",
        "New chat",
        "Starts an empty chat. The model and the settings stay.",
        "Chats",
        keys=("ctrl+n",),
        slash="new",
        hint="new chat",
        moments=(Moment.COMPOSER, Moment.CHATS),
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
    # --- models
    Action(
        "pick_model",
        "Switch model",
        "Lists the models; Enter loads one and uses it in this chat.",
        "Models",
        keys=("ctrl+l",),
        slash="model",
        takes="[NAME]",
        hint="model",
        moments=(Moment.COMPOSER,),
    ),
    Action(
        "show_models",
        "Chats and models",
        "Goes to the list of models; opens it where the terminal is narrow.",
        "Models",
        keys=("f2",),
        slash="models",
        hint="models",
        moments=(Moment.COMPOSER,),
    ),
    Action(
        "unload_model",
        "Unload the model",
        "Frees the memory of the model this chat uses.",
        "Models",
        slash="unload",
    ),
    Action(
        "refresh_models",
        "Look for models again",
        "Reads the model folders and the Hugging Face cache again.",
        "Models",
        slash="refresh",
    ),
    Action(
        "add_folder",
        "Add a model folder",
        "Looks for models in this folder too, now and at later starts.",
        "Models",
        slash="folder",
        takes="PATH",
    ),
    # --- the screen
    Action(
        "show_memory",
        "Speed and memory",
        "Opens or closes the pane with speed, context and memory.",
        "Screen",
        keys=("f5",),
        slash="memory",
        hint="memory",
        moments=(Moment.COMPOSER,),
    ),
    Action(
        "next_pane",
        "Next pane",
        "Moves to the next pane: composer, transcript, chats and models.",
        "Screen",
        keys=("tab",),
        hint="next pane",
        moments=(Moment.TRANSCRIPT, Moment.CHATS, Moment.MODELS),
        palette=False,
    ),
    Action(
        "previous_pane",
        "Previous pane",
        "Moves to the pane before this one.",
        "Screen",
        keys=("shift+tab",),
        palette=False,
    ),
    Action(
        "previous_message",
        "Message above",
        "Selects the message above.",
        "Reading",
        keys=("alt+up",),
        palette=False,
    ),
    Action(
        "next_message",
        "Message below",
        "Selects the message below.",
        "Reading",
        keys=("alt+down",),
        palette=False,
    ),
    Action(
        "copy_or_stop",
        "Copy, stop, or quit",
        "Copies the selection; else stops the reply; else, pressed twice, quits.",
        "Screen",
        keys=("ctrl+c",),
        priority=True,
        palette=False,
    ),
    Action(
        "help",
        "Help",
        "Shows every key and command, those of the pane you are in first.",
        "Screen",
        keys=("f1",),
        slash="help",
        hint="help",
        moments=_ALL,
    ),
    Action(
        "screenshot",
        "Save screenshot",
        "Writes the screen as an SVG picture into the present folder.",
        "Screen",
        slash="screenshot",
    ),
    Action(
        "theme",
        "Theme",
        "Changes the colours; alone it lists the themes.",
        "Screen",
        slash="theme",
        takes="[NAME]",
    ),
    Action(
        "restart",
        "Start the engine again",
        "Starts the engine, or the link to it, again. What is shown stays.",
        "Screen",
        keys=("f9",),
        slash="restart",
        hint="start the engine again",
        moments=(Moment.LOST,),
        priority=True,
    ),
    Action(
        "palette",
        "All commands",
        "Finds any command by a few letters.",
        "Screen",
        Where.APP,
        ("ctrl+p",),
        palette=False,
    ),
    Action(
        "leave_app",
        "Quit",
        "Closes this screen. The engine finishes the reply under way.",
        "Screen",
        Where.APP,
        ("ctrl+q",),
        slash="bye",
        priority=True,
    ),
    # --- reading
    Action(
        "select_next",
        "Message below",
        "Selects the message below.",
        "Reading",
        Where.TRANSCRIPT,
        ("j", "down"),
        hint="below",
        moments=(Moment.TRANSCRIPT,),
        palette=False,
    ),
    Action(
        "select_previous",
        "Message above",
        "Selects the message above.",
        "Reading",
        Where.TRANSCRIPT,
        ("k", "up"),
        hint="above",
        moments=(Moment.TRANSCRIPT,),
        palette=False,
    ),
    Action(
        "first",
        "First message",
        "Goes to the first message; again, it reads older ones.",
        "Reading",
        Where.TRANSCRIPT,
        ("g", "home"),
        palette=False,
    ),
    Action(
        "last",
        "Newest line",
        "Goes to the end and follows what is being written.",
        "Reading",
        Where.TRANSCRIPT,
        ("G", "end"),
        hint="newest",
        moments=(Moment.TRANSCRIPT,),
        palette=False,
    ),
    Action(
        "page_up",
        "Page up",
        "Scrolls the transcript up and stops following; works from the composer too.",
        "Reading",
        keys=("pageup",),
        priority=True,
        palette=False,
    ),
    Action(
        "page_down",
        "Page down",
        "Scrolls the transcript down.",
        "Reading",
        keys=("pagedown",),
        priority=True,
        palette=False,
    ),
    Action(
        "fold",
        "Fold or open this thought",
        "Folds or opens the thought of the selected message.",
        "Thinking",
        Where.TRANSCRIPT,
        ("space",),
        hint="thought",
        moments=(Moment.TRANSCRIPT,),
        palette=False,
    ),
    Action(
        "copy_message",
        "Copy message",
        "Copies the selected message, or the newest reply.",
        "Reading",
        Where.TRANSCRIPT,
        ("y",),
        slash="copy",
        hint="copy",
        moments=(Moment.TRANSCRIPT,),
    ),
    Action(
        "copy_chat",
        "Copy whole chat",
        "Copies all messages that are shown, as Markdown.",
        "Reading",
        Where.TRANSCRIPT,
        ("Y",),
    ),
    Action(
        "regenerate",
        "Ask again",
        "Writes another version of the selected or newest reply beside the old one.",
        "Chat",
        Where.TRANSCRIPT,
        ("r",),
        slash="again",
        hint="ask again",
        moments=(Moment.TRANSCRIPT,),
    ),
    Action(
        "write",
        "Write",
        "Goes to the composer.",
        "Reading",
        Where.TRANSCRIPT,
        ("enter", "i"),
        palette=False,
    ),
    Action(
        "ask_help",
        "Help",
        "Shows every key and command.",
        "Screen",
        Where.TRANSCRIPT,
        ("question_mark",),
        palette=False,
    ),
    # --- chats and models
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
        "Opens the chat, or loads the model and uses it in this chat.",
        "Chats",
        Where.SIDE,
        ("enter",),
        hint="open",
        moments=(Moment.CHATS, Moment.MODELS),
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
        moments=(Moment.CHATS, Moment.MODELS),
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
    # --- the composer
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
    # --- dialogs
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

BY_ID = {action.id: action for action in ACTIONS}
BY_SLASH = {action.slash: action for action in ACTIONS if action.slash}

_KEY_WORDS = {
    "escape": "Esc",
    "enter": "Enter",
    "space": "Space",
    "tab": "Tab",
    "up": "↑",
    "down": "↓",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "question_mark": "?",
    "home": "Home",
    "end": "End",
    "delete": "Del",
}


def in_place(where: Where) -> list[Action]:
    """The actions whose keys work there."""
    return [action for action in ACTIONS if action.where is where]


def key_word(key: str) -> str:
    """`ctrl+pageup` as people write it: `Ctrl+PgUp`. Single letters stay as they are."""
    parts = key.split("+")
    words = [
        _KEY_WORDS.get(part, part if len(part) == 1 and len(parts) == 1 else part.title()) for part in parts
    ]
    return "+".join(words)


def hints(moment: Moment) -> list[Action]:
    """What the key hints show now: what works only here first, help last."""
    shown = [action for action in ACTIONS if moment in action.moments and action.id != "help"]
    shown.sort(key=lambda action: action.where is Where.CHAT and moment in _PLACED)
    return [*shown, BY_ID["help"]]
