"""What only changes what is looked at: the cursor, the selection, the filter, the order, the charts."""

from __future__ import annotations

from textual.widgets import Input

from engine.api import runs
from tui.format import plural
from tui.overlay import panned, zoomed
from tui.run_view import metric_words
from tui.screens.runs_base import RunsBase


class RunsMoves(RunsBase):
    """Nothing here asks the engine for anything but curves."""

    # --- the table --------------------------------------------------------------------------

    def action_layer_memory(self) -> None:
        """F5: the record of the run under the cursor."""
        run = self.table.run
        self._go("show_memory", run.id if run is not None else "")

    def action_run_up(self) -> None:
        self.table.step(-1)

    def action_run_down(self) -> None:
        self.table.step(1)

    def action_run_first(self) -> None:
        self.table.step(-len(self.table.shown))

    def action_run_last(self) -> None:
        self.table.step(len(self.table.shown))

    def action_pick_run(self) -> None:
        run = self.here()
        if run is not None:
            self.picks.toggle(run.id)
            self.draw()

    def action_pick_group(self) -> None:
        run = self.here()
        if run is None:
            return
        group = run.spec.group
        members = (
            [each for each in self.table.shown if each.spec.group == group] if group else self.table.shown
        )
        taken = self.picks.take([each.id for each in reversed(members)])
        what = f"of {group}" if group else "shown here"
        self.say(f"{plural(len(members), 'run')} {what} {'selected' if taken else 'let go'}.")
        self.draw()

    def action_filter_runs(self) -> None:
        self.show_filter(typing=True)
        self.filter.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self.picks.narrow(event.value)
        self.draw()

    def on_input_submitted(self) -> None:
        if self.picks.filter.fault:
            self.say(self.picks.filter.fault, grave=True)
            return
        self.table.focus()
        self.show_filter()

    def on_descendant_focus(self) -> None:
        self.hints.show_moment(self.moment())

    def show_filter(self, *, typing: bool = False) -> None:
        """The filter's line is in sight while it is typed or holds something."""
        self.query_one(".filter").set_class(typing or bool(self.picks.words), "-shown")

    def action_sort_runs(self) -> None:
        if not self.state.engine.runs:
            return
        from tui.modals.run_lists import SortPicker

        def chosen(key: str | None) -> None:
            if key is None:
                return
            if key == self.picks.sort:
                self.picks.down = not self.picks.down
            else:
                self.picks.sort, self.picks.down = ("" if key == "-" else key), False
            self.draw()

        self.app.push_screen(SortPicker(self.state.engine.newest_runs()), chosen)

    def action_turn_runs(self) -> None:
        if not self.picks.sort:
            self.picks.sort = "created"
        else:
            self.picks.down = not self.picks.down
        self.draw()

    # --- the charts -------------------------------------------------------------------------

    def action_enlarge(self) -> None:
        self.toggle_class("-full")
        self.draw()

    def action_next_metric(self) -> None:
        self._metric(1)

    def action_previous_metric(self) -> None:
        self._metric(-1)

    def _metric(self, by: int) -> None:
        found = self.view.metrics()
        at = found.index(self.picks.metric) if self.picks.metric in found else -1
        self.picks.metric = found[(at + by) % len(found)]
        self.say(f"{metric_words(self.picks.metric).capitalize()}. m and M go on.", for_seconds=2)
        self.draw()

    def action_next_axis(self) -> None:
        axis = self.picks.next_axis(len(self.view.drawn))
        self.say(f"By {axis}.", for_seconds=2)
        self.draw()

    def action_smooth_more(self) -> None:
        weight = self.picks.next_smoothing()
        self.say(
            f"Smoothed by {weight:g}, the raw line behind." if weight else "Not smoothed.", for_seconds=2
        )
        self.draw()

    def action_log_axis(self) -> None:
        self.picks.log = not self.picks.log
        self.draw()

    def action_zoom_in(self) -> None:
        self._zoom(0.5)

    def action_zoom_out(self) -> None:
        self._zoom(2.0)

    def action_zoom_all(self) -> None:
        self.picks.window, self.picks.cross = (0.0, 1.0), None
        self.draw()

    def _zoom(self, by: float) -> None:
        low, high = self.view.full()
        start, end = self.picks.window
        around = (start + end) / 2
        if self.picks.cross is not None and high > low:
            around = (self.picks.cross - low) / (high - low)
        self.picks.window = zoomed(self.picks.window, by, around)
        self.draw()

    def action_pan_left(self) -> None:
        self._pan(-0.25)

    def action_pan_right(self) -> None:
        self._pan(0.25)

    def _pan(self, by: float) -> None:
        if self.picks.window == (0.0, 1.0):
            self.say("All of it is shown. + zooms in.", for_seconds=2)
        self.picks.window = panned(self.picks.window, by)
        self.draw()

    def action_cross_left(self) -> None:
        self._cross(-1)

    def action_cross_right(self) -> None:
        self._cross(1)

    def _cross(self, by: int) -> None:
        self.view.move_cross(by, self.chart.columns_wide)
        self.draw()

    # --- what differs, and the table elsewhere ----------------------------------------------

    def action_show_differences(self) -> None:
        found = self.meant()
        if len(found) < 2:
            self.say("Space selects runs; two or more can be compared.")
            return
        from tui.modals.run_differences import RunDifferences

        self.app.push_screen(RunDifferences(found, self.picks.chosen))

    def action_copy_runs(self) -> None:
        found: list[runs.RunInfo] = self.meant() if self.picks.chosen else self.table.shown
        if not found:
            self.say("There is nothing to copy yet.")
            return
        from tui.modals.run_lists import CopyPicker

        def chosen(form: str | None) -> None:
            if form is not None:
                from tui.run_export import FORMS, text_of

                self.desk.copy(text_of(found, FORMS[FORMS.index(form)]), plural(len(found), "run"))  # type: ignore[arg-type]

        self.app.push_screen(CopyPicker(plural(len(found), "run")), chosen)

    def action_runs_help(self) -> None:
        self.action_layer_help()
