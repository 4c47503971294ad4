"""What one can do on the memory screen: look at another time or run, and make room."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.api import ErrorInfo, commands, runs
from tui.memory_view import MemoryView, Record
from tui.screens.layer import Layer
from tui.screens.pausing import ask_how
from tui.widgets.lines import name
from tui.widgets.memory_chart import MemoryChart
from tui.widgets.memory_facts import MemoryFacts

if TYPE_CHECKING:
    from tui.screens.memory_verbs import MemoryVerbs


class MemoryMoves(Layer):
    """Verbs; the widgets are made by the screen itself."""

    view: MemoryView
    facts: MemoryFacts
    chart: MemoryChart

    desk: MemoryVerbs

    def __init__(self, desk: MemoryVerbs) -> None:
        super().__init__(desk)
        self.shown = ""
        """Id of the run whose memory is shown; empty is the engine."""
        self.over = ""
        """Id of the run that lies over it; empty is none."""
        self._records: dict[str, Record] = {}
        """By run, as they were read; "" is the engine's."""

    def draw(self) -> None:
        """Bring everything in line with the state."""
        raise NotImplementedError

    def read(self, run: str) -> None:
        """Have a record read."""
        raise NotImplementedError

    def ask(
        self,
        command: commands.Command,
        then: Callable[[Any], None] | None = None,
        failed: Callable[[ErrorInfo], None] | None = None,
    ) -> None:
        """Ask the engine; a refusal is said on the bottom line."""

        def refused(info: ErrorInfo) -> None:
            self.say(info.sentence(), grave=True, for_seconds=8)

        self.desk.ask(command, then, failed=failed or refused)

    # --- what is shown ------------------------------------------------------------------------

    def action_memory_track(self) -> None:
        from tui.modals.memory_lists import ENGINE, TrackPicker

        def chosen(run: str | None) -> None:
            if run is None:
                return
            self.shown = "" if run == ENGINE else run
            self.over = "" if self.over == self.shown else self.over
            self.view.whole()
            self.read(self.shown)
            self.draw()

        self.app.push_screen(TrackPicker("Whose memory", self._recorded(), engine=True), chosen)

    def action_memory_against(self) -> None:
        if self.over:
            self.over = ""
            self.view.whole()
            self.draw()
            return
        found = [run for run in self._recorded() if run.id != self.shown]
        if not found:
            self.say("There is no other run to lay over it yet. r shows a run.")
            return
        from tui.modals.memory_lists import TrackPicker

        def chosen(run: str | None) -> None:
            if run is None:
                return
            if not self.shown:  # two runs begin at the same moment; the engine's history does not
                self.shown = next((each.id for each in found if each.id != run), "")
                self.read(self.shown)
            self.over = run
            self.view.whole()
            self.read(run)
            self.draw()

        self.app.push_screen(TrackPicker("Lay over it", found, engine=False), chosen)

    def _recorded(self) -> list[runs.RunInfo]:
        """The runs that have begun."""
        return [run for run in self.state.engine.newest_runs() if run.started]

    def action_memory_sources(self) -> None:
        self.facts.sources = not self.facts.sources
        self.facts.redraw()

    def action_memory_enlarge(self) -> None:
        self.toggle_class("-full")
        self.call_after_refresh(self.draw)

    def action_memory_cross_left(self) -> None:
        self._cross(-1)

    def action_memory_cross_right(self) -> None:
        self._cross(1)

    def _cross(self, by: int) -> None:
        self.view.move_cross(by, self.chart.columns_wide)
        self.chart.redraw()

    def action_memory_zoom_in(self) -> None:
        self.view.zoom(0.5)
        self.chart.redraw()

    def action_memory_zoom_out(self) -> None:
        self.view.zoom(2.0)
        self.chart.redraw()

    def action_memory_zoom_all(self) -> None:
        self.view.whole()
        self.chart.redraw()

    def action_memory_pan_left(self) -> None:
        self._pan(-0.25)

    def action_memory_pan_right(self) -> None:
        self._pan(0.25)

    def _pan(self, by: float) -> None:
        if self.view.window == (0.0, 1.0):
            self.say("All of it is shown. + zooms in.", for_seconds=2)
        self.view.pan(by)
        self.chart.redraw()

    def action_memory_up(self) -> None:
        self.facts.scroll_rows(-1)

    def action_memory_down(self) -> None:
        self.facts.scroll_rows(1)

    def action_memory_page_up(self) -> None:
        self.facts.scroll_rows(2 - self.facts.size.height)

    def action_memory_page_down(self) -> None:
        self.facts.scroll_rows(self.facts.size.height - 2)

    # --- what makes room ------------------------------------------------------------------------

    def action_memory_pause(self) -> None:
        run = self.state.engine.active_run()
        if run is None:
            self.say("No run is under way.")
        elif run.state == "paused":
            words = f"{name(run.name)} goes on."
            self.ask(commands.ResumeRun(run=run.id), lambda _: self.say(words))
        else:
            ask_how(self, run)

    def action_memory_unload(self) -> None:
        models = self.state.engine.models.values()
        ready = [model for model in models if model.state == "ready" and model.runs_on != "server"]
        if len(ready) < 2:
            if ready:
                self.desk.unload(ready[0].id)
            else:
                self.say("No model is loaded.")
            return
        from tui.modals.memory_lists import LoadedPicker

        def chosen(model: str | None) -> None:
            if model is not None:
                self.desk.unload(model)

        self.app.push_screen(LoadedPicker(ready), chosen)

    def action_layer_help(self) -> None:
        from tui.screens.help import Help
        from tui.widgets.memory_help import memory_help

        sample = self.state.engine.monitor
        self.app.push_screen(Help(self.place, lambda width: memory_help(sample, width)))

    def action_memory_help(self) -> None:
        self.action_layer_help()

    def action_leave_layer(self) -> None:
        """The page first, then what lies over it, then the screen."""
        if self.has_class("-full"):
            self.action_memory_enlarge()
        elif self.over:
            self.action_memory_against()
        else:
            self.dismiss(None)

    def action_layer_memory(self) -> None:
        self.dismiss(None)
