"""The table of all models: paints the rows in sight, keeps its cursor on a model whatever the order."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message

from tui.format import percent, shorten
from tui.glyphs import bar
from tui.model_rows import COLUMNS, GAP, SORTS, Column, Row, columns_for, rows
from tui.state import State
from tui.widgets.lines import Piece, line, name, spread
from tui.widgets.painted import Painted

STATES = {"ready": ("●", "$accent"), "loading": ("◌", "$accent"), "available": ("○", "$thought")}
FITS = {"no": "$warning", "alone": "$warning", "held": "$accent"}


class ModelTable(Painted, can_focus=True):
    """One row a model under a line of titles."""

    DEFAULT_CSS = """
    ModelTable {
        height: 1fr;
        background: $background;
    }
    """

    class Moved(Message):
        """The cursor stands on another model, or what it stands on changed."""

    class Taken(Message):
        """A second click on the row of the cursor."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state
        self._first = 0
        self.words = ""
        """What narrows the list."""
        self.sort = SORTS[0]
        self.turned = False
        self.cursor = state.model_id()
        """Id of the model under the cursor."""
        self.rows: list[Row] = []

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        return self.rows[self._at()] if self.rows else None

    def reread(self) -> None:
        """Take the rows from the state anew, and paint what changed."""
        self.rows = rows(self._state.engine, self.words, self.sort, turned=self.turned)
        self.redraw()
        self.post_message(self.Moved())

    def move(self, by: int) -> None:
        """The cursor so many rows down."""
        if self.rows:
            at = min(len(self.rows) - 1, max(0, self._at() + by))
            self.cursor = self.rows[at].model.id
            self.redraw()
            self.post_message(self.Moved())

    @property
    def sorted_by(self) -> str:
        """`on disk ↓`: which column sorts, and which way."""
        title = next((column.title for column in COLUMNS if column.id == self.sort), self.sort)
        return f"{title} {'↑' if (self.sort == 'name') != self.turned else '↓'}"

    @property
    def page(self) -> int:
        """Rows that are in sight at once."""
        return max(1, self.size.height - 1)

    def next_sort(self) -> None:
        """Sort by the next column."""
        self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]
        self.turned = False
        self.reread()

    def turn(self) -> None:
        """The other way round."""
        self.turned = not self.turned
        self.reread()

    def lines(self, width: int, height: int) -> list[Content]:
        """Titles, then the stretch of rows around the cursor."""
        columns = columns_for(width)
        taken = sum(column.width + GAP for column in columns)
        name_width = width - taken - 4
        at, room = self._at(), max(1, height - 1)
        first = min(self._first, max(0, len(self.rows) - room))
        self._first = min(max(first, at - room + 1), at)
        shown = self.rows[self._first : self._first + room]
        painted = [self._titles(columns, name_width)]
        for number, row in enumerate(shown, start=self._first):
            content = self._paint(row, columns, name_width)
            if number == at:
                ground = "block-cursor" if self.has_focus else "block-cursor-blurred"
                content = content.pad_right(max(0, width - content.cell_length))
                content = content.stylize(f"${ground}-foreground on ${ground}-background")
            painted.append(content)
        return painted

    def on_focus(self) -> None:
        self.redraw()

    def on_blur(self) -> None:
        self.redraw()

    def on_resize(self) -> None:
        self.redraw()

    def on_mouse_scroll_down(self) -> None:
        self.move(1)

    def on_mouse_scroll_up(self) -> None:
        self.move(-1)

    def on_click(self, event: events.Click) -> None:
        at = self._first + event.y - 1
        if event.y < 1 or at >= len(self.rows):
            return
        if at == self._at() and event.chain > 1:
            self.post_message(self.Taken())
        else:
            self.move(at - self._at())

    def _at(self) -> int:
        """Number of the cursor's row; the first where its model is not in sight."""
        for number, row in enumerate(self.rows):
            if row.model.id == self.cursor:
                return number
        return 0

    def _titles(self, columns: list[Column], name_width: int) -> Content:
        """The name of each column over it; the one that sorts stands out."""
        pieces: list[Piece] = ["   ", ("name".ljust(name_width), self._title_style("name"))]
        for column in columns:
            title = column.title.rjust(column.width) if column.right else column.title.ljust(column.width)
            pieces += [" " * GAP, (title, self._title_style(column.id))]
        return line(*pieces)

    def _title_style(self, column: str) -> str:
        return "bold $foreground" if column == self.sort else "$thought"

    def _paint(self, row: Row, columns: list[Column], name_width: int) -> Content:
        model = row.model
        lost = model.support == "unsupported"
        mark, paint = ("–", "$thought") if lost else STATES[model.state]
        right = line("")
        if model.state == "loading":
            words = f"{bar(model.progress, 5)} {percent(model.progress)}" if name_width >= 24 else ""
            right = line((words or percent(model.progress), "$accent"))
        used = model.id == self._state.model_id()
        room = name_width - right.cell_length - (1 if right.cell_length else 0)
        style = "$thought" if lost else "bold" if used else "$foreground"
        left = line((shorten(name(model.name), max(1, room)), style))
        content = line(" ", (mark, paint), " ") + spread(left, right, name_width)
        for column in columns:
            text = shorten(name(column.text(row)), column.width)
            text = text.rjust(column.width) if column.right else text.ljust(column.width)
            content += line(" " * GAP, (text, _style(column, row, lost=lost)))
        return content


def _style(column: Column, row: Row, *, lost: bool) -> str:
    if column.id == "fits":
        return FITS.get(row.fit.verdict, "$thought" if lost else "$foreground")
    if column.id == "support" and row.model.support == "untested":
        return "$warning"
    plain = not lost and column.id in ("params", "disk", "needs", "context")
    return "$foreground 85%" if plain else "$thought"
