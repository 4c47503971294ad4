"""The top line: which model and adapter answer, whether it thinks, on which host."""

from __future__ import annotations

import socket

from textual.content import Content
from textual.widget import Widget

from engine.api import specs
from tui import environment
from tui.format import percent, rate, tokens
from tui.glyphs import bar
from tui.state import State
from tui.widgets.lines import Piece, line, name, spread


class Header(Widget):
    """One line. Draws from the state alone."""

    DEFAULT_CSS = """
    Header {
        height: 1;
        padding: 0 1;
        background: $background;
    }
    """

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state
        self._host = name(socket.gethostname()) + (" (ssh)" if environment.REMOTE else "")

    def render(self) -> Content:
        """Left: name, model, thinking, and the speed where no pane shows it. Right: host and palette."""
        wide = self.size.width >= 98
        left: list[Piece] = [("Qwill", "bold $accent"), "   ", *self._model()]
        thinking = thinking_words(self._state)
        if thinking:
            left += ["   ", (thinking, "$thought")]
        right: list[Piece] = []
        if wide:
            right = [(self._host, "$thought"), "   ", ("Ctrl+P", "$foreground"), (" commands", "$thought")]
        elif self._state.engine.speeds:
            right = [(rate(self._state.engine.speeds[-1]), "$foreground")]
        return spread(line(*left), line(*right), self.size.width)

    def _model(self) -> list[Piece]:
        engine = self._state.engine
        if engine.info is None:
            word = "no engine" if engine.link == "lost" else "starting the engine …"
            return [(word, "$thought")]
        model = self._state.model()
        if model is None:
            return [(name(self._state.model_id()), "bold"), (" not found", "$warning")]
        pieces: list[Piece] = [(name(model.name), "bold")]
        adapter = self._state.settings().adapter
        if adapter:
            pieces.append((f" + {name(adapter)}", "bold $accent"))
        if not model.chat:
            pieces.append((" · completion", "$warning"))
        if model.state == "loading":
            pieces.append((f"  {bar(model.progress, 6)} {percent(model.progress)}", "$thought"))
        elif model.state == "available":
            pieces.append((" · not loaded", "$thought"))
        return pieces


def thinking_words(state: State) -> str:
    """`thinking on · budget 2k`, `never thinks`, or nothing where no model is known."""
    model = state.model()
    if model is None or not model.chat:
        return ""
    settings = state.settings()
    if model.thinking == "never":
        return "does not think"
    word = (
        "thinking always" if model.thinking == "always" else f"thinking {'on' if settings.think else 'off'}"
    )
    return word + budget_words(settings, model)


def budget_words(settings: specs.ChatSettings, model: specs.ModelInfo) -> str:
    """` · budget 2k` where a budget can bite."""
    bites = settings.think or model.thinking == "always"
    return f" · budget {tokens(settings.think_budget)}" if settings.think_budget and bites else ""
