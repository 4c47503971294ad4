"""The pane beside the list: what is known of the model under the cursor, and what it would take."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from textual.content import Content

from tui.format import shorten
from tui.model_facts import Fact, facts, of_server, progress, speed, trouble
from tui.model_rows import Row
from tui.server_rows import ServerLine
from tui.state import State
from tui.widgets.fit_lines import fit_lines
from tui.widgets.lines import Piece, line, name, spread
from tui.widgets.painted import Painted

if TYPE_CHECKING:
    from tui.forecast import Rules

LABEL = 11
MOST = 4
"""Lines of one fact at most."""
WHERE = {
    "built in": "comes with Qwill",
    "hub": "in the Hugging Face cache",
    "folder": "in a folder of yours",
    "Ollama": "in Ollama's store, read in place",
    "LM Studio": "in LM Studio's store, read in place",
    "server": "answers from a server",
    "catalogue": "not on this machine yet: d downloads it",
    "the hub": "on the hub: d downloads it",
}
HOW_TO_GET_ONE: tuple[tuple[str, str, str], ...] = (
    ("To get one", "Tab", "to the catalogue, then Enter on a model"),
    ("Or", "a", "adds a folder that holds models"),
    ("Or", "h", "searches the hub"),
    ("Or", "n", "names a server that answers in place of this machine"),
)


class ModelDetail(Painted):
    """Painted anew whenever the cursor, the memory or a choice moves."""

    DEFAULT_CSS = """
    ModelDetail {
        height: 1fr;
        padding: 0 1;
        background: $background;
    }
    """

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state
        self._row: Row | None = None
        self._server: ServerLine | None = None
        self._rules: Rules | None = None
        self._choices = False
        self.rule = False
        """Whether a thin rule stands over it, where it lies under the list."""

    def show(self, row: Row | None, rules: Rules, *, choices: bool) -> None:
        """Tell of this one; `choices`: whether its form can be chosen by keys."""
        self._row, self._rules, self._choices = row, rules, choices
        self._server = None
        self.redraw()

    def show_server(self, server: ServerLine) -> None:
        """Tell of a server."""
        self._row, self._server = None, server
        self.redraw()

    def lines(self, width: int, height: int) -> list[Content]:
        """The last facts give way where it is low."""
        made = [line(("─" * width, "$rule"))] if self.rule else []
        if self._server is not None:
            made += told_server(self._server, width)
        if self._row is not None and self._rules is not None:
            made += told(self._row, self._state, self._rules, width, choices=self._choices)
        return made[:height]


def told(row: Row, state: State, rules: Rules, width: int, *, choices: bool) -> list[Content]:
    """Everything that is known of a row."""
    engine = state.engine
    used = line(("answers in this chat", "$accent") if row.id == state.model_id() else "")
    made = [spread(line((shorten(name(row.name), width), "bold")), used, width)]
    where = (
        WHERE.get(row.origin, row.origin)
        if row.section != "hub" or row.model
        else "on the hub: d downloads it"
    )
    if row.model is not None and row.model.runs_on == "server":
        where = f"answers from {name(row.origin)}"
    ids = "" if row.id in (row.name, row.model.path if row.model else "") else f"{name(row.id)} · "
    made += _wrapped(f"{ids}{where}", "$thought", width)
    for fact in (trouble(row), progress(row, engine)):
        made += fact_lines(fact, width) if fact is not None else []
    fit = fit_lines(row, rules, width, choices=choices)
    if fit:
        made += [line(""), *fit]
    quick = speed(row, engine)
    if quick:
        made += fact_lines(Fact("speed", quick), width)
    made.append(line(""))
    for fact in facts(row, engine):
        made += fact_lines(fact, width)
    return made


def told_server(server: ServerLine, width: int) -> list[Content]:
    """Everything that is known of a server."""
    info = server.info
    made = [line((shorten(name(info.name), width), "bold"))]
    found = "in your settings" if info.saved else "found on this machine"
    made += [*_wrapped(f"{name(info.url)} · {found}", "$thought", width), line("")]
    for fact in of_server(info):
        made += fact_lines(fact, width)
    return made


def fact_lines(fact: Fact, width: int) -> list[Content]:
    """The label once, the words beside it; a path that is too long loses its beginning."""
    room = max(8, width - LABEL)
    words = name(fact.words)
    style = "$warning" if fact.grave else "$foreground"
    if fact.label == "folder" and len(words) > room:
        wrapped = ["…" + words[len(words) - room + 1 :]]
    else:
        wrapped = textwrap.wrap(words, room, max_lines=MOST, placeholder=" …") or [""]
    rows = [line((f"{fact.label:<{LABEL}}", "$thought"), (wrapped[0], style))]
    return rows + [line(" " * LABEL, (more, style)) for more in wrapped[1:]]


def how_to_get_one(width: int) -> list[Content]:
    """The ways to a model."""
    rows = []
    for label, key, words in HOW_TO_GET_ONE:
        pieces: list[Piece] = [
            (f"{label:<{LABEL}}", "$thought"),
            (f"{key:<4}", "$accent"),
            (words, "$foreground"),
        ]
        rows.append(line(*pieces).truncate(width, ellipsis=True))
    return rows


def _wrapped(words: str, style: str, width: int) -> list[Content]:
    return [
        line((text, style)) for text in textwrap.wrap(words, max(8, width), max_lines=2, placeholder=" …")
    ]
