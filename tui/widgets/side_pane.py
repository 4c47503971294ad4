"""The left pane: chats and models, one list under the other with one cursor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from textual import events
from textual.binding import BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from engine.api import specs
from tui.actions import Where
from tui.bindings import bindings
from tui.format import percent, shorten, size
from tui.state import State
from tui.widgets.lines import line, name, spread, stack

Kind = Literal["chat", "model"]


@dataclass(frozen=True)
class Row:
    """One thing that the cursor can stand on."""

    kind: Kind
    id: str


class SidePane(Widget, can_focus=True):
    """CHATS and MODELS. The cursor keeps to its row when the lists change."""

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

    def show_models(self) -> None:
        """Put the cursor on the model in use."""
        self._cursor = Row("model", self._state.model_id())
        self.refresh()

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

    def action_leave_row(self) -> None:
        model = self._state.engine.model(self.row.id) if self.row and self.row.kind == "model" else None
        loading = model is not None and model.state == "loading"
        self.post_message(self.Asked("cancel" if loading else "back", self.row))

    def action_help_row(self) -> None:
        self.post_message(self.Asked("help", self.row))

    def on_click(self, event: events.Click) -> None:
        row = self._lines[event.y] if event.y < len(self._lines) else None
        if row is not None:
            self._cursor = row
            self.refresh()
            self.post_message(self.Opened(row))

    def render(self) -> Content:
        """Both lists; the chats give way where the pane is low."""
        width, height = self.size
        engine = self._state.engine
        models, chats = list(engine.models.values()), engine.recent()
        room_models = min(max(1, len(models)), max(3, height // 2 - 2))
        room_chats = max(1, height - room_models - 3)
        painted: list[tuple[Row | None, Content]] = [(None, line((" CHATS", "$thought")))]
        painted += self._window([Row("chat", chat.id) for chat in chats], room_chats, width)
        if not chats:
            painted.append((None, line(("   none yet: just type", "$thought"))))
        painted.append((None, line("")))
        painted.append((None, line((" MODELS", "$thought"))))
        painted += self._window([Row("model", model.id) for model in models], room_models, width)
        if not models:
            word = "looking …" if engine.link == "connecting" else "none found"
            painted.append((None, line((f"   {word}", "$thought"))))
        self._lines = [row for row, _ in painted]
        return stack([content for _, content in painted])

    def _rows(self) -> list[Row]:
        engine = self._state.engine
        return [Row("chat", chat.id) for chat in engine.recent()] + [
            Row("model", model) for model in engine.models
        ]

    def _step(self, by: int) -> None:
        rows = self._rows()
        if not rows:
            return
        row = self.row
        at = rows.index(row) if row in rows else 0
        self._cursor = rows[min(len(rows) - 1, max(0, at + by))]
        self.refresh()

    def _window(self, rows: list[Row], room: int, width: int) -> list[tuple[Row | None, Content]]:
        """As many rows as there is room for, the cursor among them."""
        cursor = self.row
        at = rows.index(cursor) if cursor in rows else 0
        first = min(max(0, at - room + 1), max(0, len(rows) - room))
        return [(row, self._paint(row, width)) for row in rows[first : first + room]]

    def _paint(self, row: Row, width: int) -> Content:
        content = self._chat(row.id, width) if row.kind == "chat" else self._model(row.id, width)
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
        used = model_id == self._state.model_id()
        title = shorten(name(model.name), max(4, width - 4 - len(right) - 1))
        left = line(" ", mark, " ", (title, "bold" if used else style or "$foreground 80%"))
        return spread(left, line((f"{right} ", "$thought")), width)


def _model_right(model: specs.ModelInfo) -> str:
    if model.state == "loading":
        return percent(model.progress)
    if model.support == "unsupported":
        return "no"
    return size(model.memory or model.bytes_on_disk)
