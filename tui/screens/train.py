"""The train form (F4): filled in from the first second, checked while it is changed."""

from __future__ import annotations

from typing import ClassVar

from msgspec.structs import replace
from textual.app import SuspendNotSupported
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Button, Input

from engine.api import EngineError, ErrorInfo, commands, runs
from tui import train_draft, train_presets
from tui.actions import Moment, Where
from tui.bindings import bindings
from tui.screens.train_race import TrainRace
from tui.widgets.fields import ChoiceField
from tui.widgets.lines import name
from tui.widgets.section import Fold


class Train(TrainRace):
    """Leaves when the run is started, and hands it to the workbench; left otherwise, it keeps a draft."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.TRAIN)
    place = Where.TRAIN

    def moment(self) -> Moment:
        return Moment.TRAIN

    # --- moving -----------------------------------------------------------------------------

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.input is self.data_field and (data := self.unfetched()):
            self.fetch(data)
        else:
            self._step(1)

    def action_next_field(self) -> None:
        if isinstance(self.focused, Fold):
            self.focused.turn()
        else:
            self._step(1)

    def action_field_below(self) -> None:
        self._step(1)

    def action_previous_field(self) -> None:
        self._step(-1)

    def _step(self, by: int) -> None:
        """To the next field or button; the small buttons beside a field are left to Tab."""
        chain: list[Widget] = [each for each in self.focus_chain if not each.has_class("aside")]
        if self.focused in chain:
            chain[(chain.index(self.focused) + by) % len(chain)].focus()
        elif by > 0:
            self.focus_next()
        else:
            self.focus_previous()

    def action_next_choice(self) -> None:
        if isinstance(self.focused, Fold):
            self.focused.turn()
        elif isinstance(self.focused, ChoiceField):
            self.focused.step(1)

    def action_previous_choice(self) -> None:
        if isinstance(self.focused, ChoiceField):
            self.focused.step(-1)

    def on_choice_field_changed(self, event: ChoiceField.Changed) -> None:
        self.touched = True
        if event.field is self.preset_field and self.preset_field.value != train_presets.OWN:
            spec, _ = self.read()
            self.fill(train_presets.apply(self.preset_field.value, spec))
        self.check_soon()

    # --- what makes it fit ------------------------------------------------------------------

    def action_fit_first(self) -> None:
        self._make_fit(0)

    def action_fit_second(self) -> None:
        self._make_fit(1)

    def action_fit_third(self) -> None:
        self._make_fit(2)

    def _make_fit(self, number: int) -> None:
        changes = self.estimate.changes if self.estimate is not None and not self.estimate.fits else ()
        if number < len(changes):
            spec, _ = self.read()
            self.fill(replace(spec, **changes[number].changes))
            self.check_soon()

    # --- buttons ----------------------------------------------------------------------------

    def on_button_pressed(self, event: Button.Pressed) -> None:
        verbs = {
            "start": self.action_start_run,
            "queue": self.action_queue_run,
            "idle": self.action_idle_run,
            "check": self.action_show_problems,
            "mask": self.action_preview_mask,
        }
        verbs[event.button.id or "start"]()

    def action_start_run(self) -> None:
        self._begin()

    def action_queue_run(self) -> None:
        self._begin(stay=True)

    def action_idle_run(self) -> None:
        self._begin(idle=True)

    def _begin(self, *, stay: bool = False, idle: bool = False) -> None:
        if not self.starting:
            self.starting = True
            self.desk.attempt(self._start(stay, idle), failed=self._not_started)

    async def _start(self, stay: bool, idle: bool) -> None:
        await self.ready.wait()
        if data := self.unfetched():
            self.starting = False
            self.fetch(data, lambda: self._begin(stay=stay, idle=idle))
            return
        spec, faults = self.read()
        self.show_faults(faults)
        if faults:
            self.focus_fault(next(iter(faults)))
            self.starting = False
            return
        if self._stopped_by_fit(spec):
            self.starting = False
            return
        run = await self.desk.link.request(commands.StartRun(spec=spec, idle=idle))
        self.starting = self.touched = False
        train_draft.forget()
        if not stay:
            if self.is_attached:
                self.dismiss()
            self.desk.take_start(run)
            return
        self.desk.take_start(run)
        self.say(f"{name(run.name)} is in the queue; change what the next one should do differently.")

    _warned: runs.TrainSpec | None = None
    """What was said not to fit; started again as it is, it starts."""

    def _stopped_by_fit(self, spec: runs.TrainSpec) -> bool:
        """Whether somebody should look at the memory first: once for each spec."""
        if self.estimate is None or self.estimate.fits or self._warned == spec or self._seen is None:
            return False
        if self._seen[0] != spec:
            return False
        self._warned = spec
        self.fits.focus()
        self.say("It does not fit. Ctrl+S again starts it all the same.", grave=True, for_seconds=10)
        return True

    def _not_started(self, info: ErrorInfo) -> None:
        self.refuse(info)
        self.starting = False
        self.say("It was not started.", grave=True)

    # --- the draft --------------------------------------------------------------------------

    def on_unmount(self) -> None:
        """The form is as it was when it is opened again."""
        self.stop_reading()
        if self.touched:
            train_draft.keep(train_draft.Draft(self.read()[0], self.said()))

    # --- run.toml ---------------------------------------------------------------------------

    def action_edit_run_toml(self) -> None:
        """The spec in one's own editor, with every key, also those without a field; then read back."""
        from engine.api import dump_spec
        from tui.editor import command, edit

        spec, _ = self.read()
        text, failed = dump_spec(spec).decode(), None
        try:
            editor = command()
            with self.app.suspend():
                try:
                    text = edit(text, editor, suffix=".toml")
                except EngineError as error:  # here: an error that passes `suspend` leaves the terminal so
                    failed = error
            if failed is None:
                self.take_toml(text)
        except EngineError as error:
            failed = error
        except SuspendNotSupported:
            self.say("This terminal cannot be handed to an editor.", grave=True)
        if failed is not None:
            self.say(name(failed.info.sentence()), grave=True, for_seconds=10)
        self.refresh(layout=True)

    def take_toml(self, text: str) -> None:
        """Have the form say what a run.toml says. Raises EngineError `spec_wrong`, `spec_unreadable`."""
        import tomllib

        from engine.api import fault, spec_of

        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise fault("spec_unreadable", "That is not TOML", str(error), "Ctrl+G opens it again") from error
        self.touched = True
        self.fill(spec_of(values, "run.toml"))
        if self.spec.model not in dict(self.model_field.choices):
            self.say(f"{name(self.spec.model)} is no base here; the base stays as it was.", grave=True)
        self.check_soon()
