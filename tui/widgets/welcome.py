"""What an empty chat says: what answers here, and what to try first."""

from __future__ import annotations

from textual.content import Content

from tui.state import State
from tui.widgets.lines import Piece, line, name, stack

FIRST_QUESTION = "What is 482 + 359?"


def welcome(state: State) -> Content:
    """A few lines, by what is known of the model."""
    model = state.model()
    if model is None:
        return stack([line(("Ask something. It is sent as soon as the engine is there.", "$thought"))])
    if not model.chat:
        why = name(model.why) or f"{name(model.name)} has no chat template."
        return stack(
            [
                line((why, "$warning")),
                line(("Completion mode: what you type is not answered but carried on.", "$thought")),
            ]
        )
    where = f"on {name(state.engine.host)}" if state.engine.host else "here, on this machine"
    lines = [line((f"{name(model.name)} answers {where}.", "$foreground")), line("")]
    tips: list[tuple[str, str]] = []
    if model.id == "demo":
        tips.append(("Try", FIRST_QUESTION))
    if model.thinking == "switchable":
        tips.append(("Ctrl+T", "ask again without thinking, and compare"))
    if state.new_here:
        tips.append(("/tour", "new here? six small steps to try"))
    if state.advice:
        tips.append(("F2", state.advice))
    tips += [
        ("Ctrl+L", _others(state)),
        ("F4", "train an adapter: a form that is filled in already"),
        ("Ctrl+P", "everything else"),
    ]
    for key, words in tips:
        pieces: list[Piece] = [
            (f"{key:<8}", "$accent"),
            (words, "$foreground" if key == "Try" else "$thought"),
        ]
        lines.append(line(*pieces))
    return stack(lines)


def _others(state: State) -> str:
    """What is here already beside the model in use."""
    others = [
        each
        for each in state.engine.models.values()
        if each.id != state.model_id() and each.support != "unsupported"
    ]
    if not others:
        return "another model"
    more = f", or {len(others) - 1} more" if len(others) > 1 else ""
    return f"use {name(others[0].name)}{more}"
