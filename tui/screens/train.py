"""The train form (F4): filled in from the first second, checked while it is changed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Button, Input, Static

from engine.api import ErrorInfo, commands, runs
from tui.actions import Moment, Where
from tui.bindings import bindings
from tui.dirty import What
from tui.elsewhere import can_train
from tui.format import plural
from tui.screens.layer import Layer
from tui.text import clean
from tui.train_form import (
    TARGETS,
    auto_name,
    data_words,
    field_of,
    need_words,
    parts_words,
    read,
    texts,
    time_words,
    usable,
)
from tui.widgets.fields import ChoiceField, FieldRow, TextField
from tui.widgets.lines import line
from tui.widgets.title import Title

if TYPE_CHECKING:
    from tui.screens.run_verbs import RunVerbs

NONE_MARKED = commands.MarkedList(replies=())
PATIENCE = 0.25
"""Seconds without a change after which the engine is asked again."""


class Train(Layer):
    """Leaves when the run is started, and hands it to the workbench."""

    DEFAULT_CSS = """
    Train .form {
        padding: 1 2;
        height: 1fr;
        scrollbar-size-vertical: 1;
    }
    Train FieldRow {
        margin: 0 0 1 0;
    }
    Train .fits, Train .time, Train .refusal {
        height: auto;
        padding: 0 0 0 13;
    }
    Train .time {
        color: $thought;
    }
    Train .fits, Train .time, Train .refusal {
        display: none;
    }
    Train .-shown {
        display: block;
    }
    Train .refusal {
        color: $warning;
    }
    Train .buttons {
        height: 1;
        margin: 1 0 0 0;
        padding: 0 0 0 13;
    }
    Train .section {
        height: 1;
        color: $thought;
        margin: 0 0 0 0;
    }
    Train Button, Train Button:focus {
        width: auto;
        min-width: 18;
        background: $surface;
        color: $foreground;
        text-style: none;
        background-tint: $foreground 0%;
    }
    Train Button:focus {
        background: $accent;
        color: $background;
        text-style: bold !important;
    }
    Train.-low .form {
        padding: 0 1;
    }
    Train.-low FieldRow {
        margin: 0;
    }
    Train.-low .buttons {
        margin: 0;
    }
    Train.-small FieldRow .label {
        width: 5;
    }
    Train.-small FieldRow.-wordy .label {
        display: none;
    }
    Train.-small FieldRow .note, Train.-small FieldRow .fault, Train.-small .fits, Train.-small .time {
        padding: 0;
    }
    Train.-small .buttons {
        padding: 0;
    }
    Train.-small .-wordy TextField {
        width: 6;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.TRAIN)
    place = Where.TRAIN

    def __init__(self, desk: RunVerbs, spec: runs.TrainSpec) -> None:
        super().__init__(desk)
        self._spec = spec
        self._datasets: tuple[runs.Dataset, ...] = ()
        self._ready = asyncio.Event()
        self._report: runs.DatasetReport | None = None
        self._checked = ""
        """The dataset that the report is about, or that is being read for it."""
        self._seen: tuple[runs.TrainSpec, dict[str, str]] | None = None
        self._asked = 0
        self._timer: Timer | None = None
        self._touched = False
        self._starting = False
        self._make_fields(spec)

    def _make_fields(self, spec: runs.TrainSpec) -> None:
        say = texts(spec)
        bases = [model for model in self.state.engine.models.values() if model.chat and can_train(model)]
        models = [(model.id, self._model_words(model.id)) for model in bases]
        self.model_field = ChoiceField("model", models, spec.model, wide=True)
        self.targets_field = ChoiceField("targets", list(TARGETS.items()), spec.targets)
        wide, auto = ("data", "name"), {"steps": "auto", "rate": "auto", "name": auto_name(spec)}
        self.text_fields = {
            field: TextField(field, value, auto=auto.get(field, ""), wide=field in wide)
            for field, value in say.items()
        }

    def compose(self) -> ComposeResult:
        text = self.text_fields
        yield Title("Train an adapter", "small weights beside a model's own, learned from chats")
        with VerticalScroll(classes="form", can_focus=False):
            yield FieldRow("Base", self.model_field)
            yield FieldRow("Data", text["data"])
            yield FieldRow("Name", text["name"])
            yield FieldRow("LoRA", "rank", text["rank"], "on", self.targets_field)
            yield FieldRow("Length", text["epochs"], "epochs, or", text["steps"], "steps")
            yield FieldRow(
                "Batch", text["batch"], "rows ×", text["accumulate"], "of", text["length"], "tokens"
            )
            yield FieldRow("Rate", text["rate"], "held out for eval", text["eval_fraction"], "%")
            yield Static("", classes="fits", markup=False)
            yield Static("", classes="time", markup=False)
            yield Static("", classes="refusal", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Start  Ctrl+S", compact=True)
        yield self.hints

    def moment(self) -> Moment:
        return Moment.TRAIN

    def on_mount(self) -> None:
        self.query_one(Button).focus()
        self._fit()
        self.desk.ask(commands.ListDatasets(), self._take_datasets, failed=self._no_datasets)

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        self.set_class(self.app.size.height < 32, "-low")
        self.set_class(self.app.size.width < 64, "-small")

    def redraw(self, kinds: set[What]) -> None:
        if What.MODELS in kinds:
            models = self.state.engine.models
            known = [model for model, _ in self.model_field.choices if model in models]
            self.model_field.choices = [(model, self._model_words(model)) for model in known]
            self.model_field.redraw()

    # --- what the engine answers ------------------------------------------------------------

    def _take_datasets(self, found: commands.DatasetList) -> None:
        self._datasets = found.datasets
        data = self.text_fields["data"]
        if not data.value and found.datasets:
            data.value = found.datasets[0].id
        self._ready.set()
        self._check()

    def _no_datasets(self, info: ErrorInfo) -> None:
        self._ready.set()
        self._refuse(info)

    def _check(self) -> None:
        """Ask the engine about the form as it stands."""
        if not self.is_attached:
            return
        spec, faults = self._read()
        if (spec, faults) == self._seen:
            return  # nothing changed: what was refused stays on the screen
        self._seen = (spec, faults)
        self._show_faults(faults)
        self._name_hint(spec)
        if spec.data and spec.data != self._checked:
            self._checked, self._report = spec.data, None
            self.desk.ask(
                commands.CheckData(data=spec.data),
                lambda report: self._take_report(spec.data, report),
                failed=lambda info: self._no_report(spec.data, info),
            )
        if faults:
            self._focus_fault(next(iter(faults)))
            return
        self._asked += 1
        asked = self._asked
        self.desk.ask(
            commands.EstimateRun(spec=spec),
            lambda estimate: self._take_estimate(asked, spec, estimate),
            failed=lambda info: self._refuse(info) if asked == self._asked else None,
        )

    def _take_report(self, data: str, report: runs.DatasetReport) -> None:
        if self.is_attached and data == self._checked:
            self._report = report
            title = next((each.title for each in self._datasets if each.id == data), "")
            self._row("data").note(data_words(report, title))

    def _no_report(self, data: str, info: ErrorInfo) -> None:
        if self.is_attached and data == self._checked:
            self._row("data").note("")
            self._refuse(info, field="data")

    def _take_estimate(self, asked: int, spec: runs.TrainSpec, estimate: runs.Estimate) -> None:
        if not self.is_attached or asked != self._asked:
            return
        verdict = ("fits", "bold $accent") if estimate.fits else ("does not fit", "bold $warning")
        self._put("fits", line(verdict, "  ", need_words(estimate)))
        self._put("time", f"{parts_words(estimate)}\n{time_words(estimate)}")
        self._put("refusal", "")
        if not estimate.fits:
            self._put("refusal", "A smaller batch, shorter rows or a lower rank need less.")
            self._focus_fault("batch")

    def _refuse(self, info: ErrorInfo, field: str = "") -> None:
        """Show a refusal at the field that it is about."""
        if not self.is_attached:
            return
        field = field or field_of(info)
        if field:
            self._row(field).fault(info.sentence())
            self._focus_fault(field)
        else:
            self._put("refusal", info.sentence())
        self._put("fits", "")
        self._put("time", "")

    # --- the fields -------------------------------------------------------------------------

    def _read(self) -> tuple[runs.TrainSpec, dict[str, str]]:
        said = {field: widget.value for field, widget in self.text_fields.items()}
        targets = next(each for each in TARGETS if each == self.targets_field.value)
        spec = replace(self._spec, model=self.model_field.value, targets=targets)  # type: ignore[arg-type]
        return read(spec, said)

    def _row(self, field: str) -> FieldRow:
        return next(row for row in self.query(FieldRow) if field in row.fields)

    def _widget(self, field: str) -> TextField | ChoiceField:
        choices = {"model": self.model_field, "targets": self.targets_field}
        return choices.get(field) or self.text_fields[field]

    def _show_faults(self, faults: dict[str, str]) -> None:
        for row in self.query(FieldRow):
            row.fault(" ".join(faults[field] for field in row.fields if field in faults))

    def _focus_fault(self, field: str) -> None:
        """Go to what needs a look, unless somebody is at work in the form."""
        if not self._touched or self._starting:
            self._widget(field).focus()

    def _name_hint(self, spec: runs.TrainSpec) -> None:
        self.text_fields["name"].placeholder = auto_name(spec)

    def _put(self, place: str, words: str | Content) -> None:
        shown = self.query_one(f".{place}", Static)
        shown.update(words if isinstance(words, Content) else clean(words))
        shown.set_class(bool(words), "-shown")

    def _model_words(self, model_id: str) -> str:
        model = self.state.engine.models[model_id]
        words = {"ready": "loaded, the chat and the run share its weights", "loading": "loading"}
        return f"{model.name} · {words.get(model.state, 'is loaded first')}"

    def on_input_changed(self, event: Input.Changed) -> None:
        self._touched = self._touched or (event.input.has_focus and self._ready.is_set())
        self._check_soon()

    def on_choice_field_changed(self) -> None:
        self._touched = True
        self._check_soon()

    def _check_soon(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        if self._ready.is_set():
            self._timer = self.set_timer(PATIENCE, self._check)

    # --- verbs ------------------------------------------------------------------------------

    def on_input_submitted(self) -> None:
        self.action_next_field()

    def on_button_pressed(self) -> None:
        self.action_start_run()

    def action_next_field(self) -> None:
        self.focus_next()

    def action_previous_field(self) -> None:
        self.focus_previous()

    def action_next_choice(self) -> None:
        if isinstance(self.focused, ChoiceField):
            self.focused.step(1)

    def action_previous_choice(self) -> None:
        if isinstance(self.focused, ChoiceField):
            self.focused.step(-1)

    def action_list_choices(self) -> None:
        """The list behind the field with the focus; of the data where that has none."""
        from tui.modals.models import model_picker

        if self.focused is self.model_field:
            self.app.push_screen(model_picker(self.state), self._take_model)
        else:
            self.desk.ask(
                commands.ListMarked(), self._list_data, failed=lambda info: self._list_data(NONE_MARKED)
            )

    def _list_data(self, found: commands.MarkedList) -> None:
        from tui.modals.train_lists import dataset_picker

        if self.app.screen is self:
            self.app.push_screen(dataset_picker(self._datasets, usable(found)), self._take_dataset)

    def _take_model(self, model: str | None) -> None:
        if model and model in dict(self.model_field.choices):
            self.model_field.take(model)

    def _take_dataset(self, data: str | None) -> None:
        from tui.modals.train_lists import MARKED

        if data == MARKED:
            self.desk.attempt(self._use_marked(), failed=self._no_marked)
        elif data:
            self.text_fields["data"].value = data
            self.text_fields["data"].focus()

    async def _use_marked(self) -> None:
        """Write the good and edited replies to a file, and train on that."""
        from tui import marked_rows

        rows = await marked_rows.fetch(
            self.desk.link.request, "messages", lambda count: self.say(f"Gathered {plural(count, 'row')} …")
        )
        if not rows:
            self.say("None of the marked replies is good or edited, so there is nothing to learn from.")
            return
        path = await asyncio.to_thread(marked_rows.keep, "marked-messages", rows)
        if self.is_attached:
            self._take_dataset(str(path))
            self.say(f"Wrote {plural(len(rows), 'row')} to {clean(str(path))}", for_seconds=8)

    def _no_marked(self, info: ErrorInfo) -> None:
        self.say(info.sentence(), grave=True, for_seconds=8)

    def action_show_problems(self) -> None:
        from tui.modals.train_lists import Problems

        if self._report is None or not self._report.problem_count:
            self.say("Every line of the data is fine." if self._report else "The data was not read yet.")
        else:
            self.app.push_screen(Problems(self._report))

    def action_start_run(self) -> None:
        if not self._starting:
            self._starting = True
            self.desk.attempt(self._start(), failed=self._not_started)

    async def _start(self) -> None:
        await self._ready.wait()
        spec, faults = self._read()
        self._show_faults(faults)
        if faults:
            self._focus_fault(next(iter(faults)))
            self._starting = False
            return
        run = await self.desk.link.request(commands.StartRun(spec=spec))
        if self.is_attached:
            self.dismiss()
        self.desk.take_start(run)

    def _not_started(self, info: ErrorInfo) -> None:
        self._refuse(info)
        self._starting = False
        self.say("It was not started.", grave=True)
