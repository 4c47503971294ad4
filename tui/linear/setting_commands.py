"""Slash commands of the linear chat: thinking, the system prompt, sampling."""

from __future__ import annotations

from msgspec.structs import asdict, replace

from tui.format import plural
from tui.linear.talk import Talk
from tui.slash import SAMPLING


async def think(talk: Talk, argument: str) -> None:
    await _set_think(talk, True)


async def no_think(talk: Talk, argument: str) -> None:
    await _set_think(talk, False)


async def _set_think(talk: Talk, think: bool) -> None:
    model = talk.link.models.get(talk.chat.model)
    if model is not None and model.thinking != "switchable":
        word = "always thinks" if model.thinking == "always" else "does not think"
        talk.paper.say(f"{model.name} {word}; there is nothing to switch.")
        return
    await talk.change(settings=replace(talk.chat.settings, think=think))
    talk.paper.say(f"Thinking is {'on' if think else 'off'} from the next message on.")


async def budget(talk: Talk, argument: str) -> None:
    word = argument.replace(",", "").strip().lower()
    if word in ("off", "none", "0"):
        await talk.change(settings=replace(talk.chat.settings, think_budget=None))
        talk.paper.say("Thinking has no cap now.")
    elif word.isdecimal():
        await talk.change(settings=replace(talk.chat.settings, think_budget=int(word)))
        talk.paper.say(f"Thinking ends after {plural(int(word), 'token')}.")
    else:
        talk.paper.say("/budget takes a number of tokens, or off.")


async def system(talk: Talk, argument: str) -> None:
    if not argument:
        present = talk.chat.settings.system
        talk.paper.show(f"The system prompt is:\n{present}" if present else "There is no system prompt.")
        return
    text = "" if argument == "-" else argument
    await talk.change(settings=replace(talk.chat.settings, system=text))
    talk.paper.say("The system prompt is set." if text else "The system prompt is taken away.")


async def sample(talk: Talk, argument: str) -> None:
    from tui.sampling import change

    field, _, value = argument.partition(" ")
    settings = talk.chat.settings
    if not value.strip():
        present = asdict(settings.sampling)
        values = [f"{name}: {_value(present[name])}" for name in SAMPLING]
        talk.paper.show("\n".join([*values, "/set NAME VALUE changes one, /set NAME auto gives it back."]))
        return
    sampling = change(settings.sampling, field, value.strip())
    await talk.change(settings=replace(settings, sampling=sampling))
    talk.paper.say(f"{field} is {value.strip()} from the next message on.")


async def thoughts(talk: Talk, argument: str) -> None:
    talk.show_thinking = not talk.show_thinking
    talk.paper.say(
        "Thoughts are written from now on." if talk.show_thinking else "Thoughts are only announced."
    )


def _value(value: float | None) -> str:
    return "auto" if value is None else f"{value:g}"
