"""What the train form asks the engine while it is changed: is the data fine, does the run fit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec.structs import replace
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input

from engine.api import ErrorInfo, commands, rate_warning, runs
from tui.dirty import What
from tui.format import percent
from tui.outbox import new_id
from tui.places import HERE, label
from tui.screens.train_form import TrainForm
from tui.text import clean
from tui.train_fields import OBJECTIVES
from tui.train_form import HUB, MARKED, field_of
from tui.train_words import change_words, data_words, need_words, parts_words, time_words
from tui.widgets.lines import Piece, line

if TYPE_CHECKING:
    from tui.screens.run_verbs import RunVerbs

TICK = 0.5
"""Seconds between two looks at how far a check is."""
PATIENCE = 0.25
"""Seconds without a change after which the engine is asked again."""
FETCH_HINT = "Enter fetches its first rows, so that they can be looked at."
SEND_HINT = "Enter sends it to {}, where it is checked; Start does it too."


class TrainAsks(TrainForm):
    """Asks a moment after the last change; what is refused stands at its field."""

    def __init__(self, desk: RunVerbs, spec: runs.TrainSpec, said: dict[str, str] | None = None) -> None:
        super().__init__(desk, spec, said)
        self.datasets: tuple[runs.Dataset, ...] = ()
        self.ready = asyncio.Event()
        """Set once the datasets are known, or are known not to be."""
        self.report: runs.DatasetReport | None = None
        self.estimate: runs.Estimate | None = None
        self.fetched: set[str] = set()
        """Datasets of the hub whose rows are here."""
        self.touched = False
        self.starting = False
        self._checked: commands.CheckData | None = None
        """What the report is about, or is being made for."""
        self._seen: tuple[runs.TrainSpec, dict[str, str]] | None = None
        self._asked = 0
        self._reading = ""
        """The check under way, by the name that progress is told of."""
        self._ticker: Timer | None = None
        self._timer: Timer | None = None

    def on_mount(self) -> None:
        self.query_one("#start").focus()
        self.fit_screen()
        self._complete_there()
        self.desk.ask(commands.ListDatasets(), self._take_datasets, failed=self._no_datasets)

    def _complete_there(self) -> None:
        """Paths are completed on the side that they are typed for."""
        if not self.host:
            return
        from tui.modals.file_suggester import FileSuggester
        from tui.modals.place_path import PlaceSuggester

        paths = PlaceSuggester(FileSuggester(), self.host, self.desk.link.request)
        self.data_field.known.paths = paths
        self.text_fields["eval_data"].suggester = paths

    def on_resize(self) -> None:
        self.fit_screen()

    def redraw(self, kinds: set[What]) -> None:
        if What.MODELS in kinds:
            models = self.state.engine.models
            known = [model for model, _ in self.model_field.choices if model in models]
            self.model_field.choices = [(model, self.model_words(model)) for model in known]
            self.model_field.redraw()

    # --- when -------------------------------------------------------------------------------

    def _take_datasets(self, found: commands.DatasetList) -> None:
        self.datasets = found.datasets
        self.data_field.known.names = [each.id for each in found.datasets]
        if not self.data_field.value and found.datasets:
            self.data_field.value = found.datasets[0].id
        self.ready.set()
        self.check()

    def _no_datasets(self, info: ErrorInfo) -> None:
        self.ready.set()
        self.refuse(info)

    def on_input_changed(self, event: Input.Changed) -> None:
        self.touched = self.touched or event.input.has_focus
        self.check_soon()

    def check_soon(self) -> None:
        """Ask once nothing has changed for a moment."""
        if self._timer is not None:
            self._timer.stop()
        if self.ready.is_set():
            self._timer = self.set_timer(PATIENCE, self.check)

    # --- what -------------------------------------------------------------------------------

    def check(self) -> None:
        """Ask the engine about the form as it stands."""
        if not self.is_attached:
            return
        spec, faults = self.read()
        if (spec, faults) == self._seen:
            return  # nothing changed: what was refused stays on the screen
        self._seen = (spec, faults)
        self.show_faults(faults)
        self.show_words(spec)
        self._show_rate(spec)
        away = [each for each in (spec.data, spec.eval_data) if each.startswith(f"{HERE}:")]
        if away or (spec.data.startswith(HUB) and spec.data not in self.fetched):
            self.report, self._checked = None, None
            self.row("data").note(SEND_HINT.format(label(self.host)) if away else FETCH_HINT)
            self.show_fits("")
            return
        if spec.data:
            self._check_data(spec)
        if faults:
            self.show_fits("")
            self.focus_fault(next(iter(faults)))
            return
        self._asked += 1
        asked = self._asked
        self.desk.ask(
            commands.EstimateRun(spec=spec),
            lambda estimate: self.take_estimate(estimate) if asked == self._asked else None,
            failed=lambda info: self.refuse(info) if asked == self._asked else None,
        )

    def _check_data(self, spec: runs.TrainSpec) -> None:
        command = commands.CheckData(
            data=spec.data,
            columns=spec.columns,
            model=spec.model,
            length=spec.length,
            eval_data=spec.eval_data,
            limit=spec.limit,
        )
        if command == self._checked:
            return
        if self._checked is None or self._checked.data != command.data:
            self.report = None
        self._checked = command
        self.stop_reading()
        self._reading = new_id()
        self._ticker = self.set_interval(TICK, self._show_reading)
        self.desk.ask(
            replace(command, job=self._reading),
            lambda report: self._take_report(command, report),
            failed=lambda info: self._no_report(command, info),
        )

    def _take_report(self, command: commands.CheckData, report: runs.DatasetReport) -> None:
        if not self.is_attached or command != self._checked:
            return
        self._read_out()
        self.report = report
        title = next((each.title for each in self.datasets if each.id == command.data), "")
        title = "My marked replies" if command.data.startswith(MARKED) else title
        self.row("data").note(data_words(report, title))
        self._take_kind(report)

    def stop_reading(self) -> None:
        """End the check that is under way; nobody waits for it any more."""
        if self._reading:
            self.desk.ask(commands.StopData(self._reading), failed=lambda info: None)
        self._read_out()

    def _read_out(self) -> None:
        if self._ticker is not None:
            self._ticker.stop()
        self._ticker, self._reading = None, ""

    def _show_reading(self) -> None:
        """How far a check is that takes its time."""
        share, words = self.state.engine.exports.get(self._reading, (0.0, ""))
        if words:
            done = f" · {percent(share)}" if share >= 0 else ""
            self.row("data").note(f"Reading: {words}{done}")

    def _take_kind(self, report: runs.DatasetReport) -> None:
        """Data of another kind than chats is learnt in its own way, without being asked for it."""
        field = self.objective_field
        kinds = report.objectives or ("chat",)
        field.choices = [(kind, OBJECTIVES[kind]) for kind in kinds]
        row = self.query_one("#objective-row")
        row.set_class(tuple(kinds) != ("chat",), "-shown")
        if field.value not in kinds:
            field.value = kinds[0]
            self.check_soon()
        field.redraw()

    def _no_report(self, command: commands.CheckData, info: ErrorInfo) -> None:
        if self.is_attached and command == self._checked:
            self._read_out()
            self.row("data").note("")
            self.refuse(info, field=field_of(info) or "data")

    def _show_rate(self, spec: runs.TrainSpec) -> None:
        model = self.state.engine.model(spec.model)
        warning = rate_warning(spec, model.parameters) if model is not None and model.parameters else ""
        self.row("rate").note(f"{warning}." if warning else "")

    def take_estimate(self, estimate: runs.Estimate) -> None:
        """Show what the run takes, as the form stands."""
        if not self.is_attached:
            return
        self.estimate = estimate
        verdict, style = (
            ("it fits", "bold $accent") if estimate.fits else ("it does not fit", "bold $warning")
        )
        words = f"{verdict}: {need_words(estimate)}"
        self.show_fits(fit_words(estimate), words, style, focus=not estimate.fits)
        if not estimate.fits and not self.touched:
            self.fits.focus()

    def refuse(self, info: ErrorInfo, field: str = "") -> None:
        """Show a refusal at the field that it is about."""
        if not self.is_attached:
            return
        field = field or field_of(info)
        self.show_fits("" if field else line((clean(info.sentence()), "$warning")))
        if field:
            self.row(field).fault(info.sentence())
            self.focus_fault(field)

    def focus_fault(self, field: str) -> None:
        """Go to what needs a look, unless somebody is at work in the form."""
        if not self.touched or self.starting:
            self.reveal(field)


def fit_words(estimate: runs.Estimate) -> Content:
    """By part, and how long; where it does not fit, what would make it fit, each with its key."""
    pieces: list[Piece] = [(f"{parts_words(estimate)}\n{time_words(estimate)}", "$thought")]
    if not estimate.fits:
        for key, words in enumerate(change_words(estimate), start=1):
            pieces += [(f"\n{key}", "bold $accent"), (f"  {clean(words)}", "$foreground")]
    return line(*pieces)
