"""The pane under the table: what is known of the model under the cursor, or how to get a first model."""

from __future__ import annotations

import textwrap

from textual.content import Content

from tui.format import shorten
from tui.model_facts import Fact, facts
from tui.model_rows import Row
from tui.state import State
from tui.widgets.lines import Piece, line, name
from tui.widgets.painted import Painted

LABEL = 13
MOST = 3
"""Lines of one fact at most."""
HOW_TO_GET_ONE: tuple[tuple[str, str, str], ...] = (
    ("To get one", "hf download Qwen/Qwen3-0.6B", " in a shell, then press r here"),
    ("Or", "a", " adds a folder that holds models, each with config.json and *.safetensors"),
)


class ModelDetail(Painted):
    """A rule with the model's name, and its facts below."""

    DEFAULT_CSS = """
    ModelDetail {
        height: 10;
        background: $background;
    }
    """

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state
        self._row: Row | None = None

    def show(self, row: Row | None) -> None:
        """Tell of this one."""
        self._row = row
        self.redraw()

    def lines(self, width: int, height: int) -> list[Content]:
        """The facts, wrapped under their labels; the last ones give way where it is low."""
        row = self._row
        if row is None:
            return [line(("─" * width, "$rule"))]
        title = shorten(name(row.model.name), max(1, width - 6))
        tail = "─" * max(0, width - len(title) - 4)
        painted = [line(("── ", "$rule"), (title, "bold"), (f" {tail}", "$rule"))]
        for fact in facts(row, self._state.engine):
            painted += fact_lines(fact, width)
        if len(self._state.engine.models) < 2:
            painted += ["", *how_to_get_one(width)]  # type: ignore[list-item]
        return [content if isinstance(content, Content) else line("") for content in painted][:height]


def fact_lines(fact: Fact, width: int) -> list[Content]:
    """The label once, the words beside it; a path that is too long loses its beginning."""
    room = max(8, width - LABEL - 2)
    words = name(fact.words)
    style = "$warning" if fact.grave else "$foreground"
    if fact.label == "folder" and len(words) > room:
        wrapped = ["…" + words[len(words) - room + 1 :]]
    else:
        wrapped = textwrap.wrap(words, room, max_lines=MOST, placeholder=" …") or [""]
    rows = [line((f" {fact.label:<{LABEL - 1}}", "$thought"), (wrapped[0], style))]
    return rows + [line(" " * LABEL, (more, style)) for more in wrapped[1:]]


def how_to_get_one(width: int) -> list[Content]:
    """Two ways to a model."""
    rows = []
    for label, key, words in HOW_TO_GET_ONE:
        pieces: list[Piece] = [
            (f" {label:<{LABEL - 1}}", "$thought"),
            (key, "$accent"),
            (words, "$foreground"),
        ]
        rows.append(line(*pieces).truncate(width, ellipsis=True))
    return rows
