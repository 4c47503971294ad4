"""The parameters of a chat (F10): every value that holds, whose it is, and the presets."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.timer import Timer
from textual.widgets import Input, Static, TextArea

from engine.api import EngineError, specs
from tui.actions import Where
from tui.bindings import bindings
from tui.modals.dialog import Dialog
from tui.modals.preset_name import PresetName
from tui.param_words import LABELS, PLACEHOLDERS, budget_seconds, number_words, switch_words
from tui.presets import Preset, delete_preset, load_presets, put_back, save_preset
from tui.sampling import NUMBERS, get, own, parse, put, words
from tui.text import clean
from tui.widgets.fields import ChoiceField, TextField
from tui.widgets.lines import name
from tui.widgets.param_row import ParamRow

if TYPE_CHECKING:
    from tui.screens.param_verbs import ParamVerbs

PATIENCE = 0.25
"""Seconds without a change after which it is saved."""
AS_SET = ""
"""The choice of preset while the settings are none."""
SWITCHES: dict[str, tuple[tuple[str, str], ...]] = {
    "overflow": (("drop", "drop oldest"), ("summarise", "sum up oldest"), ("stop", "stop")),
    "think": (("on", "on"), ("off", "off")),
    "keep_thoughts": (("off", "left out"), ("on", "sent too")),
}
"""Fields with a choice; the first one is the default."""
SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Sampling",
        ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed", "max_tokens"),
    ),
    ("Context", ("context", "overflow")),
    ("Thinking", ("think", "think_budget", "keep_thoughts")),
)


class Params(Dialog[None]):
    """Every change holds from the next message on; it is saved at once, and Ctrl+Z takes it back."""

    DEFAULT_CSS = """
    Params > .panel {
        width: 90;
        height: 90%;
        max-height: 38;
    }
    Params .form {
        height: 1fr;
        scrollbar-size-vertical: 1;
        background: $surface;
    }
    Params TextField, Params ChoiceField, Params TextArea {
        background: $foreground 6%;
    }
    Params .preset ChoiceField {
        width: 24;
    }
    Params TextField {
        border: none;
        height: 1;
    }
    Params TextField:focus, Params ChoiceField:focus {
        background: $block-cursor-background;
        border: none;
    }
    Params .section {
        height: 1;
        margin: 1 0 0 0;
        color: $accent;
    }
    Params .meter {
        height: auto;
        color: $thought;
        padding: 0 0 0 20;
    }
    Params .meter.-grave {
        color: $warning;
    }
    Params TextArea {
        height: auto;
        min-height: 3;
        max-height: 8;
        border: none;
        padding: 0 1;
        scrollbar-size-vertical: 1;
    }
    Params TextArea:focus {
        border: none;
        background: $foreground 10%;
    }
    Params .keys {
        height: 1;
        color: $thought;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.PARAMS)

    def __init__(self, desk: ParamVerbs) -> None:
        super().__init__()
        self._desk = desk
        self._state = desk.state
        self.settings = desk.state.settings()
        """As the form stands, which is what holds a moment later."""
        self._undo: list[Callable[[], None]] = []
        self._last = ""
        """The field that changed last: typing in one is one step back."""
        self._timer: Timer | None = None
        self._wrong: dict[str, str] = {}
        """By field: why what stands in it is not taken."""
        self._filling = False
        self._presets, self._faults = load_presets()
        self.preset_field = ChoiceField("preset", self._preset_choices(), self._matching())
        self.text_fields = {field: TextField(field, self._number(field)) for field in NUMBERS}
        self.choice_fields = {
            field: ChoiceField(field, self._choices(field), self._switch(field)) for field in SWITCHES
        }
        self.rows = {
            field: ParamRow(LABELS[field], widget)
            for field, widget in {**self.text_fields, **self.choice_fields}.items()
        }
        self.preset_row = ParamRow("Preset", self.preset_field)
        self.preset_row.add_class("preset")
        self.system_field = TextArea(
            clean(self.settings.system),
            soft_wrap=True,
            tab_behavior="focus",
            show_line_numbers=False,
            highlight_cursor_line=False,
            placeholder="None. What the model should know or be, before the first message.",
        )
        self.system_field.cursor_blink = False
        self._meter = Static("", classes="meter", markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_title = "Parameters · this chat"
            panel.border_subtitle = "↑ ↓ ← → · Esc"
            with VerticalScroll(classes="form", can_focus=False):
                yield self.preset_row
                for title, fields in SECTIONS:
                    yield Static(title, classes="section", markup=False)
                    for field in fields:
                        yield self.rows[field]
                    if title == "Context":
                        yield self._meter
                yield Static("System prompt", classes="section", markup=False)
                yield self.system_field
            yield Static(self._keys(), classes="keys", markup=False)

    def _keys(self) -> str:
        narrow = self.app.size.width < 90
        if narrow:
            return "^U own  ^R all own  ^S save preset  ^Z undo"
        return "Ctrl+U model's own   Ctrl+R all of them   Ctrl+S save as a preset   Ctrl+Z undo"

    def on_mount(self) -> None:
        self.text_fields["temperature"].focus()
        self._tell()
        if self._faults:
            self._desk.say(f"A preset was skipped. {name(self._faults[0])}", grave=True, for_seconds=12)

    def on_unmount(self) -> None:
        self._save()

    # --- what is shown ----------------------------------------------------------------------

    def tell_context(self) -> None:
        """The meter has news."""
        if self.is_attached:
            text, grave = self._desk.context_words()
            self._meter.update(clean(text))
            self._meter.set_class(grave, "-grave")

    def _tell(self) -> None:
        """Whose each value is."""
        model, settings = self._state.model(), self.settings
        for field, widget in self.text_fields.items():
            has = own(model, settings, field)
            widget.placeholder = words(has) or PLACEHOLDERS.get(field, "auto")
            mine = get(settings, field)
            more = ""
            if field == "think_budget" and mine is not None:
                more = budget_seconds(int(mine), self._desk.speed())
            if field in self._wrong:
                self.rows[field].fault(self._wrong[field])
            else:
                self.rows[field].tell(number_words(field, mine, has, more), chat=mine is not None)
        for field in SWITCHES:
            chosen = self._switch(field)
            self.rows[field].tell(switch_words(field, chosen, model), chat=chosen != SWITCHES[field][0][0])
        self._tell_preset()
        self.tell_context()

    def _tell_preset(self) -> None:
        preset = self._preset()
        if preset is None:
            self.preset_row.tell("← → look, Enter takes")
        elif preset.matches(self.settings):
            self.preset_row.tell("holds now", chat=True)
        else:
            self.preset_row.tell(f"Enter takes it{': ' + name(preset.about) if preset.about else ''}")

    def _fill(self) -> None:
        """Bring every field in line with the settings."""
        self._filling = True
        self._wrong.clear()
        for field, widget in self.text_fields.items():
            widget.value = self._number(field)
        for field, choice in self.choice_fields.items():
            choice.value = self._switch(field)
            choice.redraw()
        if self.system_field.text != clean(self.settings.system):
            self.system_field.load_text(clean(self.settings.system))
        self.preset_field.value = self._matching()
        self.preset_field.redraw()
        self._tell()
        self.call_after_refresh(self._filled)

    def _filled(self) -> None:
        self._filling = False

    def _number(self, field: str) -> str:
        return words(get(self.settings, field))

    def _choices(self, field: str) -> tuple[tuple[str, str], ...]:
        model = self._state.model()
        if field == "think" and model is not None and model.thinking != "switchable":
            return ((self._switch(field), "always" if model.thinking == "always" else "never"),)
        return SWITCHES[field]

    def _switch(self, field: str) -> str:
        if field == "overflow":
            return self.settings.overflow
        return "on" if (self.settings.think if field == "think" else self.settings.keep_thoughts) else "off"

    # --- changes ----------------------------------------------------------------------------

    def on_input_changed(self, event: Input.Changed) -> None:
        field = event.input
        if self._filling or not isinstance(field, TextField):
            return
        try:
            number = parse(field.field, field.value)
        except EngineError as error:
            self._wrong[field.field] = error.info.sentence()
            self.rows[field.field].fault(self._wrong[field.field])
            return
        self._wrong.pop(field.field, None)
        self._change(put(self.settings, field.field, number), field.field)

    def on_choice_field_changed(self) -> None:
        if self._filling:
            return
        settings = msgspec.structs.replace(
            self.settings,
            overflow=self.choice_fields["overflow"].value,
            think=self.choice_fields["think"].value == "on",
            keep_thoughts=self.choice_fields["keep_thoughts"].value == "on",
        )
        if settings != self.settings:
            self._change(settings, "")
        else:
            self._tell_preset()

    def on_text_area_changed(self) -> None:
        text = self.system_field.text
        if not self._filling and text != clean(self.settings.system):
            self._change(msgspec.structs.replace(self.settings, system=text), "system")

    def _change(self, settings: specs.ChatSettings, field: str) -> None:
        """New settings from one field, or from several at once (`field` empty)."""
        if settings == self.settings:
            self._tell()
            return
        if not field or field != self._last:
            self._undo.append(partial(self._back_to, self.settings))
        self._last = field
        self.settings = settings
        self.preset_field.value = self._matching()
        self.preset_field.redraw()
        self._tell()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(PATIENCE, self._save)

    def _back_to(self, settings: specs.ChatSettings) -> None:
        self.settings = settings
        self._fill()
        self._save()

    def _save(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = None
        if self.settings != self._state.settings():
            self._desk.change_settings(self.settings)

    # --- presets ----------------------------------------------------------------------------

    def _preset_choices(self) -> list[tuple[str, str]]:
        own_ones = [(str(at), each.title) for at, each in enumerate(self._presets)]
        return [(AS_SET, "as set below"), *own_ones]

    def _preset(self) -> Preset | None:
        chosen = self.preset_field.value
        return self._presets[int(chosen)] if chosen else None

    def _matching(self) -> str:
        found = (str(at) for at, each in enumerate(self._presets) if each.matches(self.settings))
        return next(found, AS_SET)

    def _read_presets(self) -> None:
        self._presets, _ = load_presets()
        self.preset_field.choices = self._preset_choices()
        self.preset_field.value = self._matching()
        self.preset_field.redraw()
        self._tell_preset()

    def take(self, preset: Preset) -> None:
        """Take a preset; the fields follow."""
        before = self.settings
        self._change(preset.apply(before), "")
        self._fill()

    def action_preset_save(self) -> None:
        def named(title: str | None) -> None:
            if not title:
                return
            try:
                saved = save_preset(title, self.settings)
            except EngineError as error:
                self.preset_row.fault(error.info.sentence())
                return
            self._read_presets()
            self._desk.say(f"Saved as “{name(saved.title)}”.")

        self.app.push_screen(PresetName({each.title for each in self._presets if each.path}), named)

    def action_preset_delete(self) -> None:
        preset = self._preset() if self.focused is self.preset_field else None
        if preset is None:
            return
        try:
            data = delete_preset(preset)
        except EngineError as error:
            self.preset_row.fault(error.info.sentence())
            return
        assert preset.path is not None
        self._undo.append(partial(self._bring_back, preset, data))
        self._read_presets()
        self.preset_row.tell(f"“{name(preset.title)}” is deleted; Ctrl+Z brings it back")

    def _bring_back(self, preset: Preset, data: bytes) -> None:
        assert preset.path is not None
        try:
            put_back(preset.path, data)
        except EngineError as error:
            self.preset_row.fault(error.info.sentence())
            return
        self._read_presets()

    # --- verbs ------------------------------------------------------------------------------

    def action_accept(self) -> None:
        """Enter: take the preset shown, else go on."""
        preset = self._preset()
        if self.focused is self.preset_field and preset is not None and not preset.matches(self.settings):
            self.take(preset)
        else:
            self.focus_next()

    def on_input_submitted(self) -> None:
        self.focus_next()

    def action_cursor_up(self) -> None:
        self.focus_previous()

    def action_cursor_down(self) -> None:
        self.focus_next()

    def action_param_next(self) -> None:
        self._step(1)

    def action_param_previous(self) -> None:
        self._step(-1)

    def _step(self, by: int) -> None:
        if isinstance(self.focused, ChoiceField):
            self.focused.step(by)

    def action_param_reset(self) -> None:
        focused = self.focused
        if isinstance(focused, TextField):
            focused.value = ""
        elif isinstance(focused, ChoiceField) and focused.field in SWITCHES:
            focused.take(SWITCHES[focused.field][0][0])

    def action_param_reset_all(self) -> None:
        """Everything but the system prompt and the adapter, which are no parameters of the model."""
        fresh = specs.ChatSettings(system=self.settings.system)
        self._change(fresh.with_adapters(*self.settings.adapters), "")
        self._fill()

    def action_param_undo(self) -> None:
        if self._undo:
            self._last = ""
            self._undo.pop()()
