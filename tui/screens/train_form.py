"""The fields of the train form (F4) on the screen: how they stand, and the spec that they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Button, Static

from engine.api import runs
from tui import train_presets
from tui.elsewhere import can_train
from tui.places import HERE, label
from tui.screens.layer import Layer
from tui.screens.train_look import LOOK
from tui.text import clean
from tui.train_fields import (
    AUTO,
    BY_PATTERN,
    CHECKPOINTING,
    NUMBERS,
    OBJECTIVE_LINES,
    OBJECTIVES,
    SCHEDULES,
    SWITCH,
    TARGETS,
    WIDE,
    WORDS,
    changed,
)
from tui.train_form import auto_name, read, texts
from tui.train_words import OFFERED, way_of, way_spec, way_title, way_words
from tui.widgets.data_field import DataField
from tui.widgets.fields import ChoiceField, FieldRow, TextField
from tui.widgets.section import Fold, Section
from tui.widgets.title import Title

if TYPE_CHECKING:
    from tui.screens.run_verbs import RunVerbs


class Foot(Vertical):
    """What stays in sight below the fields."""

    class Grown(Message):
        """It takes more lines, or fewer."""

    def on_resize(self) -> None:
        self.post_message(self.Grown())


class TrainForm(Layer):
    """A spec in, and at any moment the spec out that the fields say."""

    DEFAULT_CSS = LOOK

    def __init__(self, desk: RunVerbs, spec: runs.TrainSpec, said: dict[str, str] | None = None) -> None:
        """`said`: what the text fields said when the form was left, where that differs from the spec."""
        super().__init__(desk)
        self.spec = spec
        """What the fields began with; keys without a field stay as they are in it."""
        self._make_choices(spec)
        self.host = self.state.engine.host
        """What the engine's machine is called; empty is this one."""
        self.sent: dict[str, str] = {}
        """Where files of this side lie there, by their whole path here."""
        said = {**texts(spec, self.host), **(said or {})}
        paths = f"here: or {label(self.host)}: and a path" if self.host else "a path"
        self.data_field = DataField(said["data"], auto=f"{paths}, shipped:NAME, hub:OWNER/NAME")
        self.text_fields = self._make_texts(said)
        self.more = Fold("More")
        self.verdict = Section("Fits?")
        self.fits = Static("", classes="fits", markup=False)

    def _make_choices(self, spec: runs.TrainSpec) -> None:
        bases = [model for model in self.state.engine.models.values() if model.chat and can_train(model)]
        models = [(model.id, self.model_words(model.id)) for model in bases]
        preset = train_presets.preset_of(spec)
        self.preset_field = ChoiceField("preset", train_presets.choices(), preset)
        self.preset_words = Static(train_presets.about(preset), classes="aim", markup=False)
        self.model_field = ChoiceField("model", models, spec.model, wide=True)
        self.method_field = ChoiceField("method", _methods(spec), way_of(spec))
        self.targets_field = ChoiceField("targets", _targets(spec), _target(spec))
        self.objective_field = ChoiceField("objective", list(OBJECTIVES.items()), spec.objective)
        self.schedule_field = ChoiceField("schedule", list(SCHEDULES.items()), spec.schedule)
        self.packing_field = ChoiceField("packing", list(SWITCH.items()), "on" if spec.packing else "off")
        self.checkpointing_field = ChoiceField(
            "checkpointing", list(CHECKPOINTING.items()), spec.checkpointing
        )
        self.choice_fields = {
            field.field: field
            for field in (
                *(self.preset_field, self.model_field, self.method_field, self.targets_field),
                *(self.objective_field, self.schedule_field, self.packing_field, self.checkpointing_field),
            )
        }
        self.schedule_field.styles.width = 14
        self.method_field.styles.width = 22

    def _make_texts(self, said: dict[str, str]) -> dict[str, TextField]:
        fields: dict[str, TextField] = {"data": self.data_field}
        for field in (*NUMBERS, *WORDS):
            if field != "data":
                fields[field] = TextField(field, said[field], auto=AUTO.get(field, ""), wide=field in WIDE)
        fields["name"].placeholder = auto_name(self.spec)
        return fields

    def compose(self) -> ComposeResult:
        yield Title("Train an adapter", "small weights beside a model's own, learned from chats")
        with VerticalScroll(classes="form", can_focus=False):
            yield from self._main_rows()
            yield self.more
            with Vertical(classes="more"):
                yield from self._more_rows()
        with Foot(classes="foot"):
            yield self.verdict
            yield self.fits
            with Horizontal(classes="buttons"):
                yield Button("Start  Ctrl+S", compact=True, id="start")
                yield Button("Queue", compact=True, id="queue")
                yield Button("When idle", compact=True, id="idle")
        yield self.hints

    def _main_rows(self) -> ComposeResult:
        text = self.text_fields
        yield FieldRow("Preset", self.preset_field, self.preset_words)
        yield FieldRow("Base", self.model_field)
        yield FieldRow("Name", text["name"])
        check = Button("Check", compact=True, id="check", classes="aside")
        mask = Button("Mask preview", compact=True, id="mask", classes="aside")
        yield FieldRow("Data", text["data"], check, mask)
        objective = FieldRow("Learns", self.objective_field)
        objective.id = "objective-row"
        yield objective
        method = FieldRow("Method", self.method_field, "rank", text["rank"], "on", self.targets_field)
        method.id = "method-row"
        yield method
        yield FieldRow("Steps", text["steps"], "or", text["epochs"], "epochs")
        yield FieldRow(
            "Batch", text["batch"], "rows ×", text["accumulate"], "of at most", text["length"], "tokens"
        )
        yield FieldRow(
            "Rate", text["rate"], self.schedule_field, "held out for eval", text["eval_fraction"], "%"
        )

    def _more_rows(self) -> ComposeResult:
        text = self.text_fields
        yield FieldRow("Alpha", text["alpha"], "dropout", text["dropout"], "%  warm-up", text["warmup"], "%")
        yield FieldRow(
            *("Clip", text["clip"], "weight decay", text["weight_decay"], "LoRA+ ratio", text["loraplus"])
        )
        yield FieldRow("Seed", text["seed"], "beta", text["beta"], "of DPO, ORPO, KTO")
        yield FieldRow("Eval every", text["eval_every"], "steps, save every", text["save_every"], "steps")
        yield FieldRow("Early stop", text["early_stop"], "evals without a gain")
        yield FieldRow("Packing", self.packing_field, "several rows in one sequence")
        yield FieldRow("Recompute", self.checkpointing_field, "activations, to save memory")
        yield FieldRow("Rows", text["limit"], "are read at most")
        yield FieldRow("Eval data", text["eval_data"])
        yield FieldRow("Samples", text["samples"])
        yield FieldRow("Tags", text["tags"])
        yield FieldRow("Pattern", text["pattern"])

    # --- what the fields say ----------------------------------------------------------------

    def said(self) -> dict[str, str]:
        """What stands in the text fields."""
        return {field: widget.value for field, widget in self.text_fields.items()}

    def read(self) -> tuple[runs.TrainSpec, dict[str, str]]:
        """The spec as the form stands, and by field what is wrong with it."""
        chosen = self.targets_field.value
        spec = replace(
            way_spec(self.method_field.value, self.spec),
            model=self.model_field.value,
            objective=self.objective_field.value,  # type: ignore[arg-type]
            targets=chosen if chosen in TARGETS else self.spec.targets,
            schedule=self.schedule_field.value,  # type: ignore[arg-type]
            packing=self.packing_field.value == "on",
            checkpointing=self.checkpointing_field.value,  # type: ignore[arg-type]
        )
        if chosen == BY_PATTERN and not self.text_fields["pattern"].value.strip():
            spec = replace(spec, targets="attention+mlp")
        spec, faults = read(spec, self.said(), self.host)
        data, tested = (self._carried(each) for each in (spec.data, spec.eval_data))
        return replace(spec, data=data, eval_data=tested), faults

    def _carried(self, data: str) -> str:
        """Where a file of this side lies there, once it was sent; anything else as it is."""
        return self.sent.get(data.removeprefix(f"{HERE}:"), data) if data.startswith(f"{HERE}:") else data

    def fill(self, spec: runs.TrainSpec) -> None:
        """Have the fields say this spec."""
        self.spec = spec
        for field, value in texts(spec, self.host).items():
            self.text_fields[field].value = clean(value)
        self.method_field.choices = _methods(spec)
        self.targets_field.choices = _targets(spec)
        values = {
            "model": spec.model,
            "method": way_of(spec),
            "targets": _target(spec),
            "objective": spec.objective,
            "schedule": spec.schedule,
            "packing": "on" if spec.packing else "off",
            "checkpointing": spec.checkpointing,
        }
        for field, value in values.items():
            if value in dict(self.choice_fields[field].choices):
                self.choice_fields[field].value = value
                self.choice_fields[field].redraw()

    # --- how they stand ---------------------------------------------------------------------

    def row(self, field: str) -> FieldRow:
        """The row of a field."""
        return next(row for row in self.query(FieldRow) if field in row.fields)

    def widget(self, field: str) -> Widget:
        """A field by its name."""
        return self.choice_fields.get(field) or self.text_fields[field]

    def show_faults(self, faults: dict[str, str]) -> None:
        """What is wrong, at the rows of its fields."""
        for row in self.query(FieldRow):
            row.fault(" ".join(faults[field] for field in row.fields if field in faults))

    def reveal(self, field: str) -> None:
        """Give a field the focus, wherever it stands."""
        widget = self.widget(field)
        if any("more" in each.classes for each in widget.ancestors if isinstance(each, Vertical)):
            self.more.turn(True)
            self._open_more(True)
        widget.focus()

    def show_words(self, spec: runs.TrainSpec) -> None:
        """What follows from the fields beside them."""
        self.text_fields["name"].placeholder = auto_name(spec)
        self.more.say(", ".join(changed(spec)) or "alpha, dropout, warm-up, packing, seed, samples, tags …")
        self.row("method").note(way_words(spec))
        self.row("objective").note(OBJECTIVE_LINES[spec.objective])
        preset = train_presets.preset_of(spec)
        self.preset_words.update(train_presets.about(preset))
        if preset != self.preset_field.value:
            self.preset_field.value = preset
            self.preset_field.redraw()
        pattern = spec.targets not in TARGETS
        if pattern != (self.targets_field.value == BY_PATTERN):
            self.targets_field.choices = _targets(spec)
            self.targets_field.value = _target(spec)
            self.targets_field.redraw()

    def show_fits(
        self, words: Content | str, verdict: str = "", style: str = "$thought", *, focus: bool = False
    ) -> None:
        """The lines about memory and time; `focus`: whether they offer something to choose."""
        self.verdict.say(verdict, style)
        self.fits.update(words if isinstance(words, Content) else clean(words))
        self.fits.set_class(bool(words), "-shown")
        self.fits.can_focus = focus

    def on_fold_turned(self, event: Fold.Turned) -> None:
        self._open_more(event.fold.open)

    def _open_more(self, to: bool) -> None:
        self.query_one(".more").set_class(to, "-open")

    def on_foot_grown(self) -> None:
        self.fit_screen()

    def fit_screen(self) -> None:
        """The fields have the room that the lines below them leave, and scroll where it is too little."""
        size = self.app.size
        self.set_class(size.height < 36, "-low")
        self.set_class(size.width < 64, "-small")
        below = self.query_one(".foot").outer_size.height
        self.query_one(".form").styles.max_height = max(3, size.height - below - 3)

    def model_words(self, model_id: str) -> str:
        """A base, and whether it is loaded."""
        model = self.state.engine.models[model_id]
        words = {"ready": "loaded, the chat and the run share its weights", "loading": "loading"}
        return f"{model.name} · {words.get(model.state, 'is loaded first')}"


def _methods(spec: runs.TrainSpec) -> list[tuple[str, str]]:
    return [(way, way_title(way)) for way in dict.fromkeys((*OFFERED, way_of(spec)))]


def _target(spec: runs.TrainSpec) -> str:
    return spec.targets if spec.targets in TARGETS else BY_PATTERN


def _targets(spec: runs.TrainSpec) -> list[tuple[str, str]]:
    own = [] if spec.targets in TARGETS else [(BY_PATTERN, "by pattern, see More")]
    return [*TARGETS.items(), *own]
