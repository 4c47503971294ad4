"""The runs (F3): a table, the selected run's chart, and what it was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Static

from engine.api import ErrorInfo, commands, runs
from tui.actions import Moment, Where
from tui.bindings import bindings
from tui.dirty import What
from tui.format import plural
from tui.screens.layer import Layer
from tui.widgets.lines import name
from tui.widgets.run_chart import RunChart
from tui.widgets.run_facts import RunFacts
from tui.widgets.run_table import RunTable
from tui.widgets.title import Title

if TYPE_CHECKING:
    from tui.screens.run_verbs import RunVerbs

EMPTY = (
    "No run yet.\n\nA run trains an adapter: small weights beside a model's own, learned from chats.\n"
    "F4 opens a form that is filled in already; Ctrl+S starts it.\n"
    "The demo model learns to talk like a pirate in under a minute."
)
_SHOWN = {What.RUNS, What.CURVE, What.ADAPTERS, What.ENGINE}


class Runs(Layer):
    """The cursor stays on its run whatever happens to the others."""

    DEFAULT_CSS = """
    Runs .below {
        height: 1fr;
        margin: 1 0 0 0;
    }
    Runs RunFacts {
        width: 38;
        display: none;
    }
    Runs.-wide RunFacts {
        display: block;
    }
    Runs.-full RunTable {
        display: none;
    }
    Runs.-low .below {
        margin: 0;
    }
    Runs .empty {
        display: none;
        width: 100%;
        height: 1fr;
        padding: 2 4;
        color: $thought;
    }
    Runs.-none .empty {
        display: block;
    }
    Runs.-none .below, Runs.-none RunTable {
        display: none;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.RUNS)
    place = Where.RUNS

    def __init__(self, desk: RunVerbs, run: str = "") -> None:
        super().__init__(desk)
        self._trash: list[runs.RunInfo] = []
        self._asked: set[str] = set()
        self.head = Title("Runs")
        self.table = RunTable(self.state, run)
        self.chart = RunChart(self.state)
        self.facts = RunFacts(self.state)

    def compose(self) -> ComposeResult:
        yield self.head
        yield self.table
        yield Static(EMPTY, classes="empty", markup=False)
        with Horizontal(classes="below"):
            yield self.chart
            yield self.facts
        yield self.hints

    def moment(self) -> Moment:
        return Moment.RUNS

    def on_mount(self) -> None:
        self._fit()
        self.table.focus()
        if self.table.run is not None:
            self.table.go(self.table.run.id)  # it stays there when others come
        self._show()
        self.call_after_refresh(self._show)  # news that came while it was being mounted went by

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        self.set_class(self.app.size.width >= 100, "-wide")
        self.set_class(self.app.size.height < 20, "-low")

    def on_run_table_moved(self) -> None:
        self._show()

    def redraw(self, kinds: set[What]) -> None:
        if kinds & _SHOWN and self.is_mounted:
            self._show(fresh=What.RUNS in kinds)

    def _show(self, *, fresh: bool = True) -> None:
        """Bring all parts in line with the state and the cursor."""
        everything = self.state.engine.runs
        self.set_class(not everything, "-none")
        going = sum(run.state not in runs.ENDED_STATES for run in everything.values())
        words = plural(len(everything), "run") if everything else ""
        self.head.say(f"{words} · {going} going" if going else words)
        if fresh and self.table.size.height != self.table.get_content_height(None, None, 0):
            self.table.refresh(layout=True)
        self.table.redraw()
        run = self.table.run
        if run is None:
            return
        self.chart.show(run.id)
        self.facts.show(run.id)
        curve = self.state.engine.curves.get(run.id)
        if (curve is None or not curve.whole) and run.id not in self._asked:
            self._asked.add(run.id)
            self.desk.read_run(run.id)

    # --- verbs ------------------------------------------------------------------------------

    def action_run_up(self) -> None:
        self.table.step(-1)

    def action_run_down(self) -> None:
        self.table.step(1)

    def action_enlarge(self) -> None:
        self.toggle_class("-full")

    def action_leave_layer(self) -> None:
        if self.has_class("-full"):
            self.remove_class("-full")
        else:
            self.dismiss()

    def action_use_run(self) -> None:
        run = self.table.run
        if run is None:
            return
        if not run.adapter:
            self.say(f"{name(run.name)} has no adapter{'' if run.ended else ' yet'}.")
            return
        self.desk.toggle_adapter(run.adapter)

    def action_stop_run(self) -> None:
        run = self.table.run
        if run is None or run.state in runs.ENDED_STATES:
            self.say("Only a run that is under way can be stopped.")
            return
        from tui.modals.stop_run import StopRun

        def answered(save: bool | None) -> None:
            if save is not None:
                command = commands.StopRun(run=run.id, save=save)
                self.desk.ask(command, lambda _: self.say(f"{name(run.name)} stops."), failed=self._failed)

        self.app.push_screen(StopRun(run), answered)

    def action_delete_run(self) -> None:
        run = self.table.run
        if run is None:
            return
        if run.state not in runs.ENDED_STATES:
            self.say(f"{name(run.name)} is under way; s stops it first.", grave=True)
            return

        def deleted(_: object) -> None:
            self._trash.append(run)
            self.say(f"Deleted {name(run.name)} and its adapter. z brings them back.", for_seconds=10)

        if run.adapter and run.adapter in [each.id for each in self.state.settings().adapters]:
            self.desk.drop_adapter(run.adapter)
        self.desk.ask(commands.DeleteRun(run=run.id), deleted, failed=self._failed)

    def action_undo_run(self) -> None:
        if not self._trash:
            self.say("No run was deleted here.")
            return
        run = self._trash.pop()

        def restored(_: object) -> None:
            self.table.go(run.id)
            self.say(f"{name(run.name)} is back.")

        self.desk.ask(commands.DeleteRun(run=run.id, restore=True), restored, failed=self._failed)

    def action_train_again(self) -> None:
        run = self.table.run
        if run is not None:
            self.dismiss()
            self.desk.open_train(run.spec)

    def action_open_log(self) -> None:
        run = self.table.run
        if run is None:
            return
        from tui.modals.run_log import RunLog

        def read(page: commands.RunPage) -> None:
            self.app.push_screen(RunLog(page))

        command = commands.ReadRun(run=run.id, since=max(0, run.step - 200))
        self.desk.ask(command, read, failed=self._failed)

    def _failed(self, info: ErrorInfo) -> None:
        self.say(info.sentence(), grave=True, for_seconds=8)
