"""The data of a run looked at closely: what is wrong, how long its rows are, which columns hold what."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from engine.api import ErrorInfo, commands, runs
from tui.actions import Moment, Where
from tui.bindings import bindings
from tui.data_words import findings, histogram, problems, summary
from tui.format import plural
from tui.screens.layer import Layer
from tui.text import clean
from tui.widgets.fields import ChoiceField, FieldRow
from tui.widgets.lines import line, name, stack
from tui.widgets.section import Section
from tui.widgets.title import Title

if TYPE_CHECKING:
    from tui.screens.run_verbs import RunVerbs

PARTS = {
    "prompt": "Question",
    "answer": "Answer",
    "system": "System",
    "chosen": "Chosen",
    "rejected": "Rejected",
    "text": "Text",
}
"""What a column can be, as TrainSpec.columns names it."""
NONE = ""


class DataScreen(Layer):
    """Reads the data as the run would; columns chosen here go back to the form."""

    DEFAULT_CSS = """
    DataScreen .page {
        height: 1fr;
        padding: 0 2;
        scrollbar-size-vertical: 1;
    }
    DataScreen .words {
        height: auto;
        margin: 0 0 1 0;
    }
    DataScreen .hidden {
        display: none;
    }
    DataScreen FieldRow {
        margin: 0;
    }
    DataScreen .columns {
        height: auto;
        margin: 0 0 1 0;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.DATA)
    place = Where.DATA

    def __init__(
        self,
        desk: RunVerbs,
        spec: runs.TrainSpec,
        preview: commands.DataPreview | None,
        taken: Callable[[dict[str, str]], None],
    ) -> None:
        """`preview`: the first rows, where they were fetched just now; `taken` hears of other columns."""
        super().__init__(desk)
        self._spec = spec
        self._preview = preview
        self._taken = taken
        self._report: runs.DatasetReport | None = None
        self.fields = {
            part: ChoiceField(part, [(NONE, "as detected")], spec.columns.get(part, NONE)) for part in PARTS
        }
        self._words = Static("Reading …", classes="words", markup=False)
        self._found = Static("", classes="words", markup=False)
        self._lengths = Static("", classes="words", markup=False)
        self._rows = Static("", classes="words hidden", markup=False)
        self._problems = Static("", classes="words", markup=False)

    def compose(self) -> ComposeResult:
        yield Title("Data", name(self._spec.data))
        with VerticalScroll(classes="page", can_focus=True):
            yield self._words
            yield self._found
            yield Section("Columns", "c goes there, ← → choose, Enter reads the data so")
            with VerticalScroll(classes="columns", can_focus=False):
                for part, title in PARTS.items():
                    yield FieldRow(title, self.fields[part])
            yield self._rows
            yield self._lengths
            yield Section("Lines that need a look")
            yield self._problems
        yield self.hints

    def moment(self) -> Moment:
        return Moment.DATA

    def on_mount(self) -> None:
        self._page().focus()
        self._show_preview()
        self._read()

    def _page(self) -> VerticalScroll:
        return self.query_one(".page", VerticalScroll)

    # --- what is shown ----------------------------------------------------------------------

    def _read(self) -> None:
        spec = self._spec
        command = commands.CheckData(
            data=spec.data,
            columns=spec.columns,
            model=spec.model,
            objective=spec.objective,
            length=spec.length,
            eval_data=spec.eval_data,
            limit=spec.limit,
        )
        self.desk.ask(command, self._take, failed=self._failed)

    def _take(self, report: runs.DatasetReport) -> None:
        if not self.is_attached:
            return
        self._report = report
        self._words.update(summary(report))
        self._found.update(stack(findings(report)))
        self._lengths.update(self._histogram(report))
        self._problems.update(problems(report) if report.problems else line(("None.", "$thought")))
        for part, field in self.fields.items():
            named = dict.fromkeys((*report.keys, *filter(None, [self._spec.columns.get(part)])))
            field.choices = [(NONE, "as detected"), *((key, key) for key in named)]
            field.redraw()
        if not report.rows and report.keys and not self._spec.columns:
            self.fields["prompt"].focus()
            self.say("No row was understood: choose the columns of question and answer.", for_seconds=12)

    def _histogram(self, report: runs.DatasetReport) -> Content:
        spread, unit = (report.tokens, "tokens") if report.tokens else (report.lengths, "characters")
        return histogram(spread, unit, self.size.width - 4) if spread and spread.counts else line("")

    def _failed(self, info: ErrorInfo) -> None:
        if self.is_attached:
            self._words.update(line((clean(info.sentence()), "$warning")))

    def _show_preview(self) -> None:
        preview = self._preview
        if preview is None or not preview.rows:
            return
        head = line((f"The first of {plural(preview.count, 'row')} that were fetched", "$accent"))
        self._rows.update(stack([head, *(line(("· ", "$thought"), name(row)) for row in preview.rows)]))
        self._rows.remove_class("hidden")

    # --- verbs ------------------------------------------------------------------------------

    def action_data_take(self) -> None:
        """Read the data by the columns as they are chosen."""
        columns = {part: field.value for part, field in self.fields.items() if field.value != NONE}
        if columns == self._spec.columns:
            self.say("The columns are as they were.")
            return
        self._spec = replace(self._spec, columns=columns)
        self._taken(columns)
        self.say("Read by these columns; the form takes them over.")
        self._read()

    def action_data_again(self) -> None:
        self._read()

    def action_data_map(self) -> None:
        fields = list(self.fields.values())
        at = fields.index(self.focused) + 1 if self.focused in fields else 0
        fields[at % len(fields)].focus()

    def action_data_next(self) -> None:
        if isinstance(self.focused, ChoiceField):
            self.focused.step(1)

    def action_data_before(self) -> None:
        if isinstance(self.focused, ChoiceField):
            self.focused.step(-1)

    def action_data_mask(self) -> None:
        from tui.screens.mask import Mask

        self.app.push_screen(Mask(self.desk, self._spec))

    def action_data_down(self) -> None:
        self._page().scroll_down(animate=False)

    def action_data_up(self) -> None:
        self._page().scroll_up(animate=False)

    def action_data_page_down(self) -> None:
        self._page().scroll_page_down(animate=False)

    def action_data_page_up(self) -> None:
        self._page().scroll_page_up(animate=False)

    def action_layer_train(self) -> None:
        self.dismiss(None)
