"""The table of a race, from the runs screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from engine.api import commands, runs
from tui.format import plural
from tui.run_export import TableForm
from tui.screens.runs_base import RunsBase
from tui.widgets.lines import name


class RunsRace(RunsBase):
    """Shows it, copies it, and pauses or stops the whole race."""

    def action_race_table(self) -> None:
        run = self.here()
        if run is None:
            return
        if not run.spec.group:
            self.say(f"{name(run.name)} was started alone. Alt+R in the form (F4) starts a race.")
            return
        self.show_race(run.spec.group)

    def show_race(self, group: str) -> None:
        """Its table, as it stands and as it goes on."""
        from tui.modals.race_table import RaceTable

        def again(then: Callable[[commands.RaceTable], None]) -> None:
            self.ask(commands.ReadRace(group), then)

        def read(table: commands.RaceTable) -> None:
            self.app.push_screen(RaceTable(table, again, self._act))

        self.ask(commands.ReadRace(group), read)

    def _act(self, what: str, table: commands.RaceTable) -> None:
        if what == "copy":
            self._copy(table)
            return
        states = [state for row in table.rows for state in row.states]
        if all(state in runs.ENDED_STATES for state in states):
            self.say(f"{name(table.race.group)} is over.")
        elif what == "stop":
            self._stop(table)
        elif "running" in states:
            self.ask(commands.PauseRace(table.race.group), lambda _: None)
        else:
            self.ask(commands.ResumeRace(table.race.group), lambda _: None)

    def _stop(self, table: commands.RaceTable) -> None:
        from tui.modals.confirm import Confirm

        def answered(yes: bool | None) -> None:
            if yes:
                self.ask(commands.StopRace(table.race.group), lambda _: None)

        question = f"Stop all of {table.race.group}?"
        self.app.push_screen(Confirm(question, "Adapters are kept as they are now.", "stops it"), answered)

    def _copy(self, table: commands.RaceTable) -> None:
        from tui.modals.run_lists import CopyPicker
        from tui.race_cells import text_of

        what = plural(len(table.rows), "setting")

        def chosen(form: str | None) -> None:
            if form is not None:
                self.desk.copy(text_of(table, cast(TableForm, form)), what)

        self.app.push_screen(CopyPicker(what), chosen)
