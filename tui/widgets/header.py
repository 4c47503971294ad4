"""The top line: which model and adapter answer, whether it thinks, on which host."""

from __future__ import annotations

import socket

from textual.content import Content

from engine.api import specs
from tui import environment
from tui.elsewhere import where
from tui.fit import unused_gpu
from tui.format import percent, rate, tokens
from tui.glyphs import bar
from tui.meter import NEARLY, share
from tui.state import State
from tui.widgets.lines import Piece, line, name, spread
from tui.widgets.painted import Painted


class Header(Painted):
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

    def lines(self, width: int, height: int) -> list[Content]:
        """Left: name, model, thinking, and the speed where no pane shows it. Right: host and palette."""
        wide = width >= 98
        left: list[Piece] = [("Qwill", "bold $accent"), "   ", *self._model()]
        thinking = thinking_words(self._state)
        if thinking:
            left += ["   ", (thinking, "$thought")]
        if self._state.incognito():
            left += ["   ", ("incognito · saved nowhere" if wide else "incognito", "bold $warning")]
        right: list[Piece] = []
        if wide:
            right = [self._where(), "   ", ("Ctrl+P", "$foreground"), (" commands", "$thought")]
        else:
            right = _narrow_right(self._state)
            if self._state.engine.host:
                right = [*right, *(["   "] if right else []), self._where()]
        serving = serving_words(self._state)
        if serving and line(*left).cell_length + line(*right).cell_length + len(serving) + 6 <= width:
            right = [(serving, "$accent"), *(["   ", *right] if right else [])]
        room = width - line(*left).cell_length - line(*right).cell_length - 6
        right = [*_short_words(self._state), *_gpu_words(self._state, room), *right]
        return [spread(line(*left), line(*right), width)]

    def _where(self) -> Piece:
        """The machine whose engine this is."""
        engine = self._state.engine
        if not engine.host:
            return self._host, "$thought"
        if engine.link == "lost":
            return f"{name(engine.host)} is out of reach", "$warning"
        if engine.link == "connecting" and engine.info is not None:
            return f"connecting to {name(engine.host)} …", "$thought"
        return f"{name(engine.host)} (ssh)", "bold"

    def _model(self) -> list[Piece]:
        engine = self._state.engine
        if engine.info is None:
            word = f"connecting to {name(engine.host)} …" if engine.host else "starting the engine …"
            word = "no engine" if engine.link == "lost" else word
            return [(word, "$thought")]
        model = self._state.model()
        if model is None:
            return [(name(self._state.model_id()), "bold"), (" not found", "$warning")]
        pieces: list[Piece] = [(name(model.name), "bold")]
        if where(model):
            pieces.append((f" · {where(model)}", "$thought"))
        settings = self._state.settings()
        if settings.adapter:
            label = engine.adapter_label(settings.adapter, settings)
            pieces.append((f" + {name(label)}", "bold $accent"))
        if not model.chat:
            pieces.append((" · completion", "$warning"))
        if model.state == "loading":
            pieces.append((f"  {bar(model.progress, 6)} {percent(model.progress)}", "$thought"))
        elif model.state == "available" and model.runs_on != "server":
            pieces.append((" · not loaded", "$thought"))
        return pieces


def _narrow_right(state: State) -> list[Piece]:
    """How far the run is, and the speed: what no pane shows where it is narrow."""
    words = [run_words(state)] if run_words(state) else []
    if (full := share(state)) > NEARLY:
        words.append(f"context {percent(full)}")
    if state.engine.speeds:
        words.append(rate(state.engine.speeds[-1]))
    return [("   ".join(words), "$foreground")] if words else []


def _short_words(state: State) -> list[Piece]:
    """That memory is short, for as long as it is."""
    sample = state.engine.monitor
    if sample is None or sample.strain.level == "calm":
        return []
    return [("! memory short", "$warning"), "   "]


def _gpu_words(state: State, room: int) -> list[Piece]:
    """A GPU that this torch cannot use, with the command that would change it where there is room."""
    gpu = unused_gpu(state.engine)
    if gpu is None:
        return []
    words = f"! {name(gpu.name)} unused"
    longer = f"{words}: {name(gpu.remedy)}"
    for each in (longer, words, "! GPU unused"):
        if len(each) <= room:
            return [(each, "$warning"), "   "]
    return [("! GPU", "$warning"), "   "] if room >= 5 else []


def serving_words(state: State) -> str:
    """`serving :8123` while other programs may ask, else nothing."""
    serving = state.engine.serving
    return f"serving :{serving.port}" if serving is not None else ""


def run_words(state: State) -> str:
    """`▶ 36 %` while a run trains, else nothing."""
    run = state.engine.active_run()
    if run is None or run.state != "running":
        return ""
    return f"▶ {percent(run.step / run.steps)}" if run.steps else "▶ run"


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
