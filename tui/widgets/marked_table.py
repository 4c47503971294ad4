"""The marked replies as a table with one cursor."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message

from engine.api import commands, specs
from tui.format import clock
from tui.state import State
from tui.widgets.lines import Piece, line, name
from tui.widgets.painted import Painted

MARK, MADE_BY, WHEN = 10, 26, 14
"""Columns of the mark, of model and adapter, and of the time."""
WITH_MODEL, WITH_TIME = 100, 56
"""Narrowest screens that show them."""
LOOKED_AT = 300
"""Characters of a text that its line in the table may come from."""


class MarkedTable(Painted, can_focus=True):
    """Mark, question, the reply's first line, model and adapter, when."""

    DEFAULT_CSS = """
    MarkedTable {
        height: auto;
        min-height: 2;
        max-height: 60%;
        background: $background;
    }
    """

    class Moved(Message):
        """The cursor stands on another reply."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state
        self.replies: list[commands.Marked] = []
        self.at = 0
        self._first = 0

    @property
    def reply(self) -> commands.Marked | None:
        """The reply under the cursor."""
        return self.replies[self.at] if self.replies else None

    def add(self, replies: tuple[commands.Marked, ...]) -> None:
        """More rows below the others."""
        self.replies += replies
        self.refresh(layout=True)

    def put(self, message: specs.Message) -> None:
        """A reply whose mark changed, in its row."""
        for at, each in enumerate(self.replies):
            if each.message.id == message.id:
                self.replies[at] = commands.Marked(message, each.title, each.question)
        self.redraw()

    def step(self, by: int) -> None:
        """Move the cursor."""
        if self.replies:
            self.at = min(len(self.replies) - 1, max(0, self.at + by))
            self.redraw()
            self.post_message(self.Moved())

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        """One line a reply, and the titles."""
        return 1 + max(1, len(self.replies))

    def lines(self, width: int, height: int) -> list[Content]:
        """The titles, and the replies around the cursor."""
        room = max(1, height - 1)
        self._first = min(max(0, self.at - room + 1, min(self._first, self.at)), self.at)
        titles = self._columns("question", "reply", "model", "when", width)
        rows = [line(" " * MARK, (titles, "$thought"))]
        for at, reply in enumerate(self.replies[self._first : self._first + room], start=self._first):
            row = self._row(reply, width)
            if at == self.at:
                row = row.pad_right(width - row.cell_length).stylize(
                    "$block-cursor-foreground on $block-cursor-background"
                )
            rows.append(row)
        return rows

    def on_click(self, event: events.Click) -> None:
        at = self._first + event.y - 1
        if event.y > 0 and at < len(self.replies):
            self.step(at - self.at)

    def _row(self, marked: commands.Marked, width: int) -> Content:
        message = marked.message
        mark = {"good": "+", "bad": "−", "": " "}[message.mark]
        edited = "edited" if message.origin == "edited" else ""
        style = "$warning" if message.mark == "bad" else "$accent"
        made_by, when = self._made_by(message), clock(message.created)
        words = self._columns(_start(marked.question), _start(message.text), made_by, when, width)
        pieces: list[Piece] = [(f" {mark} {edited:<{MARK - 3}}", style), words]
        return line(*pieces).truncate(width)

    def _columns(self, question: str, reply: str, model: str, when: str, width: int) -> str:
        """All cells but the mark side by side, each cut or padded to its column."""
        model_wide = MADE_BY if width >= WITH_MODEL else 0
        when_wide = WHEN if width >= WITH_TIME else 0
        left = max(10, width - MARK - model_wide - when_wide - 1)
        asked = left * 2 // 5
        cells = [(question, asked), (reply, left - asked), (model, model_wide), (when, when_wide)]
        return "".join(_cell(text, wide) for text, wide in cells)

    def _made_by(self, message: specs.Message) -> str:
        model = self._state.engine.model(message.model)
        title = model.name if model else message.model
        label = self._state.engine.adapter_label(message.adapter, message.settings)
        return f"{title} + {label}" if message.adapter else title


def _start(text: str) -> str:
    """The first line that says something, as one line."""
    return next((each for each in text[:LOOKED_AT].split("\n") if each.strip()), "")


def _cell(text: str, wide: int) -> str:
    """A text in its column, with a space after it."""
    if not wide:
        return ""
    content = line(name(text))
    if content.cell_length > wide - 1:
        content = content.truncate(wide - 1, ellipsis=True)
    return content.pad_right(wide - content.cell_length).plain
