"""Slash commands: reading one out of the composer, and what could be meant by its beginning."""

from __future__ import annotations

import re

import msgspec

from tui.actions import BY_SLASH, Action
from tui.paths import names
from tui.state import EngineState

SAMPLING = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed", "max_tokens")
SOFT_SWITCHES = ("think", "no_think")
"""With text after them they belong to the message: Qwen models read them as a switch."""

_COMMAND = re.compile(r"/([a-z_]+)(?:[ \n]+(.*))?", re.DOTALL)
_UNFINISHED = re.compile(r"/([a-z_]*)")


class Call(msgspec.Struct, frozen=True):
    """A slash command as typed."""

    action: Action | None
    """None: there is no command of this name."""
    name: str
    argument: str


class Completion(msgspec.Struct, frozen=True):
    """One suggestion: the text that the composer gets, what it is, and whether that text is complete."""

    text: str
    about: str
    whole: bool


def parse(text: str) -> Call | None:
    """The command in the composer's text, or None when it is a message."""
    match = _COMMAND.fullmatch(text.strip())
    if match is None or text[:1] != "/":
        return None
    name, argument = match[1], (match[2] or "").strip()
    if name in SOFT_SWITCHES and argument:
        return None
    return Call(BY_SLASH.get(name), name, argument)


def complete(text: str, engine: EngineState) -> list[Completion]:
    """What the text could become, best first; empty when it is no beginning of a command."""
    if "\n" in text:
        return []
    if match := _UNFINISHED.fullmatch(text):
        return [_command(name, action) for name, action in BY_SLASH.items() if name.startswith(match[1])]
    name, _, rest = text[1:].partition(" ")
    if text[:1] != "/" or " " in rest:
        return []
    known = _arguments(name, engine)
    if any(value == rest for value, _ in known):
        return []  # complete as it stands, even where a longer name begins with it
    return [
        Completion(f"/{name} {value}", about, name != "set")
        for value, about in known
        if rest.lower() in value.lower()
    ]


def _command(name: str, action: Action) -> Completion:
    takes = f" {action.takes}" if action.takes else ""
    return Completion(f"/{name}", f"{takes:<13} {action.label}", not action.takes)


def _arguments(name: str, engine: EngineState) -> list[tuple[str, str]]:
    if name == "model":
        return [(model.name, model.family) for model in engine.models.values()]
    if name == "adapter":
        adapters = [(each.name, each.base_name) for each in engine.adapters.values()]
        return [*adapters, ("off", "the model alone")]
    if name == "theme":
        return [(each, "") for each in names("themes", "themes", ".toml")]
    if name == "prompt":
        return [(each, "") for each in names("sample_prompts", "prompts", ".md")]
    if name == "set":
        return [(field, "") for field in SAMPLING]
    if name == "budget":
        return [("256", "tokens"), ("1024", "tokens"), ("4096", "tokens"), ("off", "no cap")]
    return []
