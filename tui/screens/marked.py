"""The marked replies: a table, the whole reply below it, and the way out as training data."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from engine.api import ErrorInfo, commands, specs
from tui import marked_rows
from tui.actions import Moment, Where
from tui.bindings import bindings
from tui.format import plural, shorten
from tui.screens.layer import Layer
from tui.text import clean
from tui.widgets.lines import line, name
from tui.widgets.marked_table import MarkedTable
from tui.widgets.title import Title

if TYPE_CHECKING:
    from tui.modals.export_marked import Export
    from tui.screens.chat import Workbench

EMPTY = (
    "No reply is marked yet.\n\n"
    "In a chat, Alt+↑ selects a message; then + marks a reply good, - marks it bad, and e edits it\n"
    "into what it should have been. From the composer, /good and /bad mark the newest reply.\n\n"
    "They are listed here, can be exported as training data, and F4 offers them as a dataset of your own."
)
PAGE = 100
"""Replies asked for at once."""


class Marked(Layer):
    """The newest first; more are read when the cursor comes near the end."""

    DEFAULT_CSS = """
    Marked .whole {
        height: 1fr;
        padding: 0 2;
        border-top: solid $rule;
        scrollbar-size-vertical: 1;
    }
    Marked .question {
        height: auto;
        max-height: 4;
        color: $thought;
        margin: 0 0 1 0;
    }
    Marked .reply {
        height: auto;
    }
    Marked .empty {
        display: none;
        width: 100%;
        height: 1fr;
        padding: 2 4;
        color: $thought;
    }
    Marked.-none .empty {
        display: block;
    }
    Marked.-none MarkedTable, Marked.-none .whole {
        display: none;
    }
    Marked.-low .whole {
        display: none;
    }
    Marked.-low MarkedTable {
        max-height: 1fr;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.MARKED)
    place = Where.MARKED

    def __init__(self, desk: Workbench) -> None:
        super().__init__(desk)
        self._desk = desk
        self._total = 0
        self._reading = False
        self.head = Title("Marked replies")
        self.table = MarkedTable(self.state)
        self.question = Static("", classes="question", markup=False)
        self.whole = Static("", classes="reply", markup=False)

    def compose(self) -> ComposeResult:
        yield self.head
        yield self.table
        yield Static(EMPTY, classes="empty", markup=False)
        with VerticalScroll(classes="whole", can_focus=False):
            yield self.question
            yield self.whole
        yield self.hints

    def moment(self) -> Moment:
        return Moment.MARKED

    def on_mount(self) -> None:
        self._fit()
        self.table.focus()
        self._read()

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        self.set_class(self.app.size.height < 16, "-low")

    # --- what is shown ----------------------------------------------------------------------

    def _read(self) -> None:
        """The next page, once at a time."""
        if not self._reading:
            self._reading = True
            command = commands.ListMarked(limit=PAGE, offset=len(self.table.replies))
            self.desk.ask(command, self._take, failed=self._failed)

    def _take(self, page: commands.MarkedList) -> None:
        self._reading = False
        if not self.is_attached:
            return
        self._total = page.total if page.replies else len(self.table.replies)
        self.table.add(page.replies)
        self.set_class(not self.table.replies, "-none")
        self.head.say(f"{self._total:,} {'reply' if self._total == 1 else 'replies'}" if self._total else "")
        self._show()
        self._read_on()

    def _read_on(self) -> None:
        """Read more where the cursor is near the end of what is known."""
        known = len(self.table.replies)
        if known < self._total and self.table.at >= known - PAGE // 4:
            self._read()

    def _show(self) -> None:
        marked = self.table.reply
        if marked is None:
            return
        title = f"{shorten(name(marked.title), 60)} · " if marked.title else ""
        self.question.update(line((title, "$accent"), clean(marked.question)))
        self.whole.update(clean(marked.message.text))
        self.query_one(".whole").scroll_home(animate=False)

    def on_marked_table_moved(self) -> None:
        self._show()
        self._read_on()

    # --- verbs ------------------------------------------------------------------------------

    def action_marked_up(self) -> None:
        self.table.step(-1)

    def action_marked_down(self) -> None:
        self.table.step(1)

    def action_marked_page_up(self) -> None:
        self.table.step(-max(1, self.table.size.height - 1))

    def action_marked_page_down(self) -> None:
        self.table.step(max(1, self.table.size.height - 1))

    def action_open_marked(self) -> None:
        marked = self.table.reply
        if marked is None:
            return
        message = marked.message
        self.dismiss(None)
        self.desk.attempt(self._desk.show_message(message.chat, message.id, message.created))

    def action_marked_good(self) -> None:
        self._mark("good")

    def action_marked_bad(self) -> None:
        self._mark("bad")

    def _mark(self, mark: specs.Mark) -> None:
        marked = self.table.reply
        if marked is not None:
            message = marked.message
            wanted: specs.Mark = "" if message.mark == mark else mark
            self._desk.mark_reply(message.chat, message.id, wanted, self.table.put)

    def action_export_marked(self) -> None:
        if not self.table.replies:
            self.say("There is nothing to export yet.")
            return
        from tui.modals.export_marked import ExportMarked

        def chosen(export: Export | None) -> None:
            if export is not None:
                self.desk.attempt(self._export(export), failed=self._failed)

        self.app.push_screen(ExportMarked(), chosen)

    async def _export(self, export: Export) -> None:
        def told(count: int) -> None:
            self.say(f"Gathered {plural(count, 'row')} …", for_seconds=60)

        rows = await marked_rows.fetch(self.desk.link.request, export.shape, told)
        if not rows:
            about = marked_rows.SHAPES[export.shape][1]
            self.say(f"None of the marked replies makes a row of this shape ({about}).", for_seconds=10)
            return
        await asyncio.to_thread(marked_rows.write, export.path, rows)
        self.desk.say(f"Wrote {plural(len(rows), 'row')} to {name(str(export.path))}", for_seconds=12)

    def _failed(self, info: ErrorInfo) -> None:
        self._reading = False
        self.say(info.sentence(), grave=True, for_seconds=8)
