"""The slash commands of the linear chat: the one table of actions, and what of it needs no screen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tui.actions import ACTIONS, BY_SLASH, Action
from tui.linear import chat_commands, keep_commands, model_commands, reply_commands, setting_commands
from tui.linear.link import Link
from tui.linear.talk import Talk
from tui.slash import SAMPLING, Call

Handler = Callable[[Talk, str], Awaitable[None]]
ALIASES = {"exit": "bye", "quit": "bye", "regenerate": "again"}
"""Words that people try, and the command that is meant; used where there is none of that name."""


async def do(talk: Talk, call: Call) -> None:
    """Do a command; one that is unknown, or needs the screen, is told so."""
    action = call.action or BY_SLASH.get(ALIASES.get(call.name, ""))
    handler = (HANDLERS.get(action.id) if action is not None else None) or EXTRA.get(call.name)
    if handler is not None:
        await handler(talk, call.argument)
    elif action is None:
        talk.paper.say(f"There is no command /{call.name}. /help lists them.")
    else:
        talk.paper.say(f"/{action.slash} needs the workbench: run `qwill`. {action.help}")


def complete(typed: str, link: Link) -> list[str]:
    """Whole commands that the typed text could become."""
    if "\n" in typed or not typed.startswith("/"):
        return []
    name, space, rest = typed[1:].partition(" ")
    if not space:
        names = [action.slash for action in _known()] + list(EXTRA)
        return [f"/{each}" for each in sorted(set(names)) if each.startswith(name)]
    choices = {
        "model": [model.name for model in link.models.values()],
        "set": list(SAMPLING),
        "budget": ["256", "1024", "4096", "off"],
    }
    return [f"/{name} {each}" for each in choices.get(name, []) if each.lower().startswith(rest.lower())]


def _known() -> list[Action]:
    return [action for action in ACTIONS if action.slash and action.id in HANDLERS]


async def _help(talk: Talk, argument: str) -> None:
    rows = [(f"/{each.slash} {each.takes}".strip(), each.label) for each in _known()]
    rows += [(f"/{name}", words) for name, (words, _) in _EXTRA.items()]
    wide = max(len(command) for command, _ in rows)
    roomy = wide + 30 < talk.paper.width
    lines = [f"{command:<{wide}}  {label}" if roomy else f"{command}: {label}" for command, label in rows]
    talk.paper.show("\n".join([*lines, KEYS]))


async def _leave(talk: Talk, argument: str) -> None:
    talk.leaving = True


async def _restart(talk: Talk, argument: str) -> None:
    if talk.link.lost is None:
        talk.paper.say("The engine is running.")
    else:
        await talk.restart()


async def _memory(talk: Talk, argument: str) -> None:
    sample = talk.link.memory
    if sample is None:
        talk.paper.say("Nothing was measured yet.")
        return
    from tui.memory_words import memory_sentences

    talk.paper.show("\n".join(memory_sentences(sample)))


HANDLERS: dict[str, Handler] = {
    "help": _help,
    "leave_app": _leave,
    "restart": _restart,
    "show_memory": _memory,
    "pick_model": model_commands.model,
    "show_models": model_commands.models,
    "unload_model": model_commands.unload,
    "refresh_models": model_commands.refresh,
    "add_folder": model_commands.folder,
    "toggle_adapter": model_commands.adapter,
    "think": setting_commands.think,
    "no_think": setting_commands.no_think,
    "budget": setting_commands.budget,
    "system": setting_commands.system,
    "set": setting_commands.sample,
    "new_chat": chat_commands.new,
    "search": chat_commands.search,
    "delete_chat": chat_commands.delete,
    "undo_delete": chat_commands.undo,
    "stop": reply_commands.idle,
    "answer_now": reply_commands.idle,
    "regenerate": reply_commands.again,
    "continue_reply": reply_commands.carry_on,
    "mark_good": reply_commands.good,
    "mark_bad": reply_commands.bad,
    "about_reply": reply_commands.info,
    "read_thought": reply_commands.last_thought,
    "file": reply_commands.file,
    "image": reply_commands.image,
    "detach": reply_commands.detach,
    "copy_message": keep_commands.copy,
    "save_code": keep_commands.save_code,
    "export": keep_commands.export,
    "rename": keep_commands.rename,
    "archive": keep_commands.archive,
    "incognito": keep_commands.incognito,
    "keep_thoughts": keep_commands.keep_thoughts,
    "params": setting_commands.sample,
}
"""By id of the action: what it does here."""
_EXTRA: dict[str, tuple[str, Handler]] = {
    "chats": ("The newest chats", chat_commands.chats),
    "open": ("Go on with a chat: /open ID", chat_commands.go_on),
    "thoughts": ("Write thoughts out, or only announce them", setting_commands.thoughts),
}
EXTRA: dict[str, Handler] = {name: handler for name, (_, handler) in _EXTRA.items()}
"""By name: what only this chat needs, where the workbench has keys and panes."""
KEYS = """\
Ctrl+J, a backslash at the end of a line, or three quotes around them all: several lines.
Up and Down: earlier messages. Tab: completes a command.
Ctrl+C: stops a reply. Ctrl+D: leaves.
While it thinks: /answer and Enter has it answer now."""
