"""How a run that trains is paused: one question, asked from the runs screen and from the memory screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from textual.app import App

from engine.api import commands, runs
from tui.widgets.lines import name

MODES: tuple[runs.PauseMode, ...] = ("hold", "yield", "park")


class Asking(Protocol):
    """A layer that asks the engine and says a line."""

    @property
    def app(self) -> App[object]: ...

    def say(self, words: str, /) -> None: ...

    def ask(self, command: commands.Command, then: Callable[[Any], None] | None = None, /) -> None: ...


def ask_how(layer: Asking, run: runs.RunInfo) -> None:
    """Have a person choose how it holds its memory, and pause it so."""
    from tui.modals.run_lists import PausePicker

    def chosen(mode: str | None) -> None:
        known = next((each for each in MODES if each == mode), None)
        if known is not None:
            words = f"{name(run.name)} pauses after its present step; p lets it go on."
            layer.ask(commands.PauseRun(run=run.id, mode=known), lambda _: layer.say(words))

    layer.app.push_screen(PausePicker(run), chosen)
