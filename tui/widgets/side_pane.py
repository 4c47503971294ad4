"""The left pane: chats, models with their adapters, and runs, one under the other with one cursor."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec
from textual import events
from textual.binding import BindingType
from textual.content import Content
from textual.message import Message

from engine.api import specs
from tui.actions import Where
from tui.bindings import bindings
from tui.elsewhere import where
from tui.format import percent, shorten, size
from tui.state import State
from tui.widgets.lines import line, name, spread
from tui.widgets.painted import Painted
from tui.widgets.run_lines import MARKS, number

Kind = Literal["chat", "model", "adapter", "run", "place"]
PLACES = 5
"""Places that are shown at most."""


class Row(msgspec.Struct, frozen=True):
    """One thing that the cursor can stand on."""

    kind: Kind
    id: str


class Placed(msgspec.Struct, frozen=True):
    """This machine, or another one whose engine can be worked on."""

    name: str
    words: str
    """How it stands, where there is something to say."""
    state: Literal["shown", "open", "lost", "closed"]


class SidePane(Painted, can_focus=True):
    """CHATS, MODELS and RUNS. The cursor keeps to its row when the lists change."""

    DEFAULT_CSS = """
    SidePane {
        width: 24;
        height: 1fr;
        border-right: solid $rule;
        background: $background;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.SIDE)

    class Opened(Message):
        """Enter on a row."""

        def __init__(self, row: Row) -> None:
            super().__init__()
            self.row = row

    class Asked(Message):
        """Another verb on a row: `delete`, `undo`, `unload`, `cancel`, `back`, `help`."""

        def __init__(self, verb: str, row: Row | None) -> None:
            super().__init__()
            self.verb = verb
            self.row = row

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state
        self._cursor: Row | None = None
        self._places: tuple[Placed, ...] = ()
        self._lines: list[Row | None] = []
        """What stands on each painted line, for the mouse."""

    @property
    def row(self) -> Row | None:
        """The row under the cursor, if it still exists."""
        rows = self._rows()
        if self._cursor in rows:
            return self._cursor
        here = Row("chat", self._state.chat)
        return here if here in rows else (rows[0] if rows else None)

    def action_up(self) -> None:
        self._step(-1)

    def action_down(self) -> None:
        self._step(1)

    def action_use(self) -> None:
        if self.row is not None:
            self.post_message(self.Opened(self.row))

    def action_delete_row(self) -> None:
        self.post_message(self.Asked("delete", self.row))

    def action_undo_row(self) -> None:
        self.post_message(self.Asked("undo", self.row))

    def action_unload_row(self) -> None:
        self.post_message(self.Asked("unload", self.row))

    def action_weigh_more(self) -> None:
        self.post_message(self.Asked("heavier", self.row))

    def action_weigh_less(self) -> None:
        self.post_message(self.Asked("lighter", self.row))

    def action_beside_row(self) -> None:
        self.post_message(self.Asked("beside", self.row))

    def action_prove_row(self) -> None:
        self.post_message(self.Asked("prove", self.row))

    def action_export_row(self) -> None:
        self.post_message(self.Asked("export", self.row))

    def action_leave_row(self) -> None:
        model = self._state.engine.model(self.row.id) if self.row and self.row.kind == "model" else None
        loading = model is not None and model.state == "loading"
        self.post_message(self.Asked("cancel" if loading else "back", self.row))

    def action_help_row(self) -> None:
        self.post_message(self.Asked("help", self.row))

    def on_focus(self) -> None:
        self.redraw()

    def on_blur(self) -> None:
        self.redraw()

    def on_click(self, event: events.Click) -> None:
        row = self._lines[event.y] if event.y < len(self._lines) else None
        if row is not None:
            self._cursor = row
            self.redraw()
            self.post_message(self.Opened(row))

    def show_places(self, places: tuple[Placed, ...]) -> None:
        """List them, where there is more than one."""
        places = places if len(places) > 1 else ()
        if places != self._places:
            self._places = places
            self.redraw()

    def lines(self, width: int, height: int) -> list[Content]:
        """All lists; the chats give way where the pane is low."""
        engine = self._state.engine
        models, chats, runs = self._model_rows(), self._chat_rows(), self._run_rows()
        room_runs = min(len(runs), max(2, height // 4)) if runs else 0
        places = [Row("place", each.name) for each in self._places]
        height -= min(len(places), PLACES) + 2 if places else 0
        heads = 5 if runs else 3
        room_models = min(max(1, len(models)), max(3, (height - heads) // 2 - room_runs // 2))
        room_chats = max(1, height - room_models - room_runs - heads)
        painted: list[tuple[Row | None, Content]] = [(None, line((" CHATS", "$thought")))]
        painted += self._window(chats, room_chats, width)
        if not chats:
            painted.append((None, line(("   none yet: just type", "$thought"))))
        painted.append((None, line("")))
        painted.append((None, line((" MODELS", "$thought"))))
        painted += self._window(models, room_models, width)
        if not models:
            word = "looking …" if engine.link == "connecting" else "none found"
            painted.append((None, line((f"   {word}", "$thought"))))
        if runs:
            painted += [(None, line("")), (None, line((" RUNS", "$thought")))]
            painted += self._window(runs, room_runs, width)
        if places:
            painted += [(None, line("")), (None, line((" PLACES", "$thought")))]
            painted += self._window(places, PLACES, width)
        self._lines = [row for row, _ in painted]
        return [content for _, content in painted]

    def _rows(self) -> list[Row]:
        places = [Row("place", each.name) for each in self._places]
        return self._chat_rows() + self._model_rows() + self._run_rows() + places

    def _chat_rows(self) -> list[Row]:
        return [Row("chat", chat.id) for chat in self._state.engine.recent()]

    def _model_rows(self) -> list[Row]:
        """Each model with the adapters that fit it; last the adapters that fit none."""
        engine = self._state.engine
        rows: list[Row] = []
        for model in engine.models:
            rows.append(Row("model", model))
            rows += [Row("adapter", each.id) for each in engine.fitting(model)]
        fitting = {row.id for row in rows if row.kind == "adapter"}
        return rows + [Row("adapter", each) for each in engine.adapters if each not in fitting]

    def _run_rows(self) -> list[Row]:
        return [Row("run", run.id) for run in self._state.engine.newest_runs()]

    def _step(self, by: int) -> None:
        rows = self._rows()
        if not rows:
            return
        row = self.row
        at = rows.index(row) if row in rows else 0
        self._cursor = rows[min(len(rows) - 1, max(0, at + by))]
        self.redraw()

    def _window(self, rows: list[Row], room: int, width: int) -> list[tuple[Row | None, Content]]:
        """As many rows as there is room for, the cursor among them."""
        cursor = self.row
        at = rows.index(cursor) if cursor in rows else 0
        first = min(max(0, at - room + 1), max(0, len(rows) - room))
        return [(row, self._paint(row, width)) for row in rows[first : first + room]]

    def _paint(self, row: Row, width: int) -> Content:
        paint = {
            "chat": self._chat,
            "model": self._model,
            "adapter": self._adapter_row,
            "run": self._run_row,
            "place": self._place_row,
        }
        content = paint[row.kind](row.id, width)
        if self.has_focus and row == self.row:
            content = content.pad_right(width - content.cell_length).stylize(
                "$block-cursor-foreground on $block-cursor-background"
            )
        return content

    def _chat(self, chat_id: str, width: int) -> Content:
        chat = self._state.engine.chats[chat_id]
        live = self._state.engine.live(chat_id) is not None
        shown = chat_id == self._state.chat
        mark = ("▸", "$accent") if shown else (" ", "")
        title = shorten(name(chat.title) or "new chat", width - (6 if live else 4))
        left = line(" ", mark, " ", (title, "bold" if shown else "$foreground 80%"))
        return spread(left, line(("… " if live else "", "$accent")), width)

    def _model(self, model_id: str, width: int) -> Content:
        model = self._state.engine.models[model_id]
        mark = {"ready": ("●", "$accent"), "loading": ("◌", "$accent"), "available": ("○", "$thought")}[
            model.state
        ]
        right = _model_right(model)
        style = "$thought" if model.support == "unsupported" else ""
        if model.runs_on == "server":
            mark = ("◇", "$accent" if model.state == "ready" else "$thought")
        used = model_id == self._state.model_id()
        title = shorten(name(model.name), max(4, width - 4 - len(right) - 1))
        left = line(" ", mark, " ", (title, "bold" if used else style or "$foreground 80%"))
        return spread(left, line((f"{right} ", "$thought")), width)

    def _adapter_row(self, adapter_id: str, width: int) -> Content:
        """`◉ pirate-r16   0.61` under its model; a dash where it cannot be used."""
        adapter = self._state.engine.adapters[adapter_id]
        weights = {each.id: each.weight for each in self._state.settings().adapters}
        active = adapter_id in weights and adapter.fits(self._state.model_id())
        usable = bool(adapter.base) and not adapter.why
        mark = ("◉", "$accent") if active else ("○" if usable else "–", "$thought")
        weight = weights[adapter_id] if active else 1.0
        right = number(adapter.loss) if adapter.loss is not None else "?" if adapter.unverified else ""
        right = f"×{weight:g}" if weight != 1.0 else right
        title = shorten(name(adapter.name), max(4, width - 7 - len(right)))
        style = "bold" if active else "$foreground 80%" if usable else "$thought"
        return spread(line("   ", mark, " ", (title, style)), line((f"{right} ", "$thought")), width)

    def _run_row(self, run_id: str, width: int) -> Content:
        """`▶ legal-r16  214/600`, `✓ pirate-r16   0.61`."""
        run = self._state.engine.runs[run_id]
        going = run.state == "running"
        right = f"{run.step}/{run.steps}" if going and run.steps else ""
        if run.state == "done":
            right = number(run.eval_loss if run.eval_loss is not None else run.loss)
        title = shorten(name(run.name), max(4, width - 5 - len(right)))
        left = line(" ", MARKS[run.state], " ", (title, "" if going else "$foreground 80%"))
        return spread(left, line((f"{right} ", "$thought")), width)

    def _place_row(self, place: str, width: int) -> Content:
        """`● here`, `○ box   2 runs`."""
        known = next(each for each in self._places if each.name == place)
        marks = {"shown": ("●", "$accent"), "open": ("○", "$accent"), "lost": ("✗", "$warning")}
        words = shorten(known.words, max(0, width - 10))
        title = shorten(name(place), max(4, width - 5 - len(words)))
        style = "bold" if known.state == "shown" else "$foreground 80%"
        left = line(" ", marks.get(known.state, ("○", "$thought")), " ", (title, style))
        return spread(left, line((f"{words} ", "$thought")), width)


def _model_right(model: specs.ModelInfo) -> str:
    if model.state == "loading":
        return percent(model.progress)
    if model.support == "unsupported":
        return "no"
    if model.runs_on == "server":
        return shorten(where(model), 10)
    return size(model.memory or model.bytes_on_disk)
