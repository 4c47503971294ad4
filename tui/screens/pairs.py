"""A small editor for questions and answers: a dataset of one's own, saved as it is typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.timer import Timer
from textual.widgets import Input, Static, TextArea

from engine.api import ErrorInfo, commands
from tui import pair_draft
from tui.actions import Moment, Where
from tui.bindings import bindings
from tui.format import plural
from tui.pair_book import PairBook
from tui.screens.layer import Layer
from tui.text import clean
from tui.widgets.fields import FieldRow, TextField
from tui.widgets.pair_area import PairArea
from tui.widgets.pair_table import PairTable
from tui.widgets.title import Title

if TYPE_CHECKING:
    from tui.screens.run_verbs import RunVerbs

NAME = "my-pairs"
"""What a new dataset is called."""
QUIET = 1.0
"""Seconds without a key after which it is saved."""
UNREAD = ("data_unreadable", "dataset_unknown", "data_missing")
"""Refusals that mean: there is no such dataset yet."""


class Pairs(Layer):
    """Hands the path of what was written to `taken` when it is left."""

    DEFAULT_CSS = """
    Pairs .body {
        height: 1fr;
        padding: 1 2 0 2;
    }
    Pairs FieldRow {
        margin: 0 0 1 0;
    }
    Pairs .over {
        height: 1;
        color: $thought;
    }
    Pairs TextArea {
        height: 1fr;
        min-height: 2;
        border: none;
        padding: 0 1;
        margin: 0 0 1 0;
        background: $surface;
        scrollbar-size-vertical: 1;
    }
    Pairs TextArea:focus {
        border: none;
        background: $foreground 10%;
    }
    Pairs #answer {
        height: 2fr;
    }
    Pairs.-low .body {
        padding: 0 1;
    }
    Pairs.-low TextArea, Pairs.-low FieldRow {
        margin: 0;
    }
    Pairs.-low .over {
        display: none;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.PAIRS)
    place = Where.PAIRS

    def __init__(self, desk: RunVerbs, dataset: str, taken: Callable[[str], None]) -> None:
        """`dataset`: the name of one's own dataset to go on with; empty begins, or goes on with, NAME."""
        super().__init__(desk)
        self._taken = taken
        self._path = ""
        self._timer: Timer | None = None
        self._saved: tuple[commands.QAPair, ...] = ()
        self._other = 0
        self._filling = False
        self._known = False
        """Whether what is there already has been read: nothing is written in its place before."""
        self.book = PairBook()
        self.table = PairTable(self.book)
        self.head = Title("Questions and answers")
        self.title_field = TextField("name", dataset or NAME, wide=True)
        self.question = PairArea("question", "What somebody asks. Enter goes to the answer.")
        self.answer = PairArea("answer", "What the model should answer. Enter: next pair. Ctrl+J: new line.")

    def compose(self) -> ComposeResult:
        yield self.head
        with Vertical(classes="body"):
            yield FieldRow("Name", self.title_field)
            yield self.table
            yield Static("Question", classes="over", markup=False)
            yield self.question
            yield Static("Answer", classes="over", markup=False)
            yield self.answer
        yield self.hints

    def moment(self) -> Moment:
        return Moment.PAIRS

    def on_mount(self) -> None:
        self._fit()
        self.question.focus()
        self._read(0, ())

    def on_unmount(self) -> None:
        """Left by whatever key: nothing that was typed is lost."""
        dataset, typed = self._dataset(), self.book.typed()
        if self._known:
            pair_draft.keep(dataset, self.book.unfinished())
            self._save()
        elif typed:
            pair_draft.keep(dataset, (*pair_draft.recall(dataset), *typed))

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        self.set_class(self.app.size.height < 28, "-low")

    # --- what is there already --------------------------------------------------------------

    def _dataset(self) -> str:
        return self.title_field.value.strip() or NAME

    def _read(self, offset: int, found: tuple[commands.QAPair, ...]) -> None:
        self.desk.ask(
            commands.ReadRows(name=self._dataset(), offset=offset),
            lambda page: self._take(page, found),
            failed=self._unread,
        )

    def _take(self, page: commands.OwnRows, found: tuple[commands.QAPair, ...]) -> None:
        if not self.is_attached:
            return
        found = (*found, *page.pairs)
        self._path, self._other = page.path, page.other
        if page.more and page.pairs:
            self._read(len(found), found)
            return
        self._saved = found
        self._lay_before(found)
        if page.other:
            words = f"{plural(page.other, 'row')} of {self._dataset()} are more than a question and an answer"
            self.say(f"{words}: give a new name, or they are left out.", grave=True, for_seconds=12)

    def _unread(self, info: ErrorInfo) -> None:
        if info.code in UNREAD:
            self._lay_before(())
        else:
            self.say(
                f"{info.sentence()} What you write is kept for the next time.", grave=True, for_seconds=8
            )

    def _lay_before(self, found: tuple[commands.QAPair, ...]) -> None:
        self.book.put(self.question.text, self.answer.text)
        typed = bool(self.book.typed())
        self.book.lay_before(found, pair_draft.recall(self._dataset()))
        self._known = True
        self._show()
        if typed:
            self._save_soon()

    # --- what is typed ----------------------------------------------------------------------

    def on_text_area_changed(self) -> None:
        if not self._filling and self.book.put(self.question.text, self.answer.text):
            self.table.redraw()
            self._tell()
            self._save_soon()

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.has_focus:
            self._save_soon()

    def on_pair_table_moved(self, event: PairTable.Moved) -> None:
        self._go_to(event.at)

    def _show(self) -> None:
        """The pair under the cursor in its fields."""
        self._filling = True
        pair = self.book.pair
        with self.prevent(TextArea.Changed):
            for area, text in ((self.question, clean(pair.question)), (self.answer, clean(pair.answer))):
                if area.text != text:  # loading it again would take the cursor away from who types there
                    area.load_text(text)
        self._filling = False
        self.table.redraw()
        self._tell()

    def _tell(self) -> None:
        whole, begun = len(self.book.whole()), self.book.begun()
        words = plural(whole, "pair") + (f" · {begun:,} not finished" if begun else "")
        self.head.say(words)

    # --- saving -----------------------------------------------------------------------------

    def _save_soon(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(QUIET, self._save)

    def _save(self) -> None:
        pairs = self.book.whole()
        if self._known and pairs and pairs != self._saved:
            self.desk.attempt(self._write(pairs), failed=self._not_saved)

    async def _write(self, pairs: tuple[commands.QAPair, ...]) -> None:
        saved = await self.desk.link.request(commands.SaveRows(pairs=pairs, name=self._dataset()))
        self._saved, self._path = pairs, saved.path

    def _not_saved(self, info: ErrorInfo) -> None:
        self.desk.say(f"Not saved: {clean(info.sentence())}", grave=True, for_seconds=10)

    async def _leave(self, *, train: bool) -> None:
        """Save what is not, and go; without a whole pair there is nothing to train on."""
        if self._timer is not None:
            self._timer.stop()
        pairs = self.book.whole()
        if not self._known:
            if train:
                self.say(f"{self._dataset()} is still being read; try again in a moment.")
            else:
                self.dismiss(None)
            return
        if pairs and pairs != self._saved:
            await self._write(pairs)
        if pairs and (train or self._path):
            self._taken(self._path)
        elif train:
            self.say("Write a question and its answer first.")
            return
        self.dismiss(None)

    # --- verbs ------------------------------------------------------------------------------

    def action_leave_layer(self) -> None:
        """From the fields to the list; from the list back to the form."""
        if self.focused in (self.question, self.answer, self.title_field):
            self.table.focus()
        else:
            self.desk.attempt(self._leave(train=False), failed=self._not_saved)

    def action_layer_train(self) -> None:
        self.action_pair_train()

    def action_pair_train(self) -> None:
        self.desk.attempt(self._leave(train=True), failed=self._not_saved)

    async def action_pair_add(self) -> None:
        await self._settle()
        self.book.add()
        self._show()
        self.set_focus(self.question)

    async def action_pair_next(self) -> None:
        """From the question to the answer, from there to the next pair, from the list to the question."""
        await self._settle()
        if self.focused is self.question:
            self.set_focus(self.answer)
        elif self.focused is self.title_field:
            self.set_focus(self.table)
        elif self.focused is not self.answer:
            self.set_focus(self.question)
        elif self.book.at + 1 < len(self.book.pairs):
            self._go_to(self.book.at + 1)
            self.set_focus(self.question)
        else:
            await self.action_pair_add()

    async def _settle(self) -> None:
        """What was typed so far is in its pair, also where it was typed faster than it is drawn."""
        if isinstance(self.focused, PairArea):
            await self.focused.typed()
            if self.book.put(self.question.text, self.answer.text):
                self._save_soon()

    def action_pair_delete(self) -> None:
        self.book.delete()
        self._show()
        self._save_soon()
        self.say("Deleted. z brings it back.")

    def action_pair_undo(self) -> None:
        if self.book.undo():
            self._show()
            self._save_soon()
        else:
            self.say("Nothing was deleted.")

    def action_pair_edit(self) -> None:
        self.question.focus()

    def action_pair_down(self) -> None:
        self._go_to(self.book.at + 1)

    def action_pair_up(self) -> None:
        self._go_to(self.book.at - 1)

    def _go_to(self, at: int) -> None:
        self.book.go(at)
        self._show()
