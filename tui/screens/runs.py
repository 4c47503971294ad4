"""The runs (F3): a table, the curves of the selected ones, and what they were made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Input, Static

from engine.api import runs
from tui.actions import Moment, Where
from tui.bindings import bindings
from tui.dirty import What
from tui.format import plural
from tui.run_diff import label
from tui.run_view import RunView
from tui.screens.runs_after import RunsAfter
from tui.screens.runs_life import RunsLife
from tui.screens.runs_moves import RunsMoves
from tui.screens.runs_race import RunsRace
from tui.widgets.elsewhere_runs import ElsewhereRuns
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
FILTER = "tag:legal eval<2 method:dora lr>=1e-4 -state:failed or name~old"
_SHOWN = {What.RUNS, What.CURVE, What.ADAPTERS, What.ENGINE}


class Runs(RunsAfter, RunsLife, RunsMoves, RunsRace):
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
    Runs .filter {
        display: none;
        height: 1;
        padding: 0 1;
    }
    Runs .filter.-shown {
        display: block;
    }
    Runs .filter Static {
        width: auto;
        padding: 0 1 0 0;
        color: $accent;
    }
    Runs .filter .fault {
        color: $warning;
        padding: 0 0 0 1;
    }
    Runs Input {
        width: 1fr;
        border: none;
        height: 1;
        padding: 0;
        background: $background;
        background-tint: $foreground 0%;
    }
    Runs Input:focus {
        border: none;
        background-tint: $foreground 0%;
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
    Runs.-none .below, Runs.-none RunTable, Runs.-none .filter {
        display: none;
    }
    """
    AUTO_FOCUS: ClassVar[str | None] = ""
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.RUNS)
    place = Where.RUNS

    def __init__(self, desk: RunVerbs, run: str = "") -> None:
        super().__init__(desk)
        self._trash: list[runs.RunInfo] = []
        self._asked: set[str] = set()
        self.picks = desk.run_picks()
        self.view = RunView(self.state.engine, self.picks)
        self.head = Title("Runs")
        self.filter = Input(self.picks.words, placeholder=FILTER, select_on_focus=False)
        self.fault = Static("", classes="fault", markup=False)
        self.table = RunTable(self.state, self.picks, run)
        self.elsewhere = ElsewhereRuns(desk.elsewhere)
        self.chart = RunChart(self.state, self.view)
        self.facts = RunFacts(self.state, self.view)

    def compose(self) -> ComposeResult:
        yield self.head
        with Horizontal(classes="filter"):
            yield Static("/", markup=False)
            yield self.filter
            yield self.fault
        yield self.table
        yield self.elsewhere
        yield Static(EMPTY, classes="empty", markup=False)
        with Horizontal(classes="below"):
            yield self.chart
            yield self.facts
        yield self.hints

    def moment(self) -> Moment:
        typing = self.is_mounted and self.focused is self.filter
        return Moment.FILTERING if typing else Moment.RUNS

    def on_mount(self) -> None:
        self._fit()
        self.show_filter()
        self.table.focus()
        if self.table.run is not None:
            self.table.go(self.table.run.id)  # it stays there when others come
        self.draw()
        self.call_after_refresh(self.draw)  # news that came while it was being mounted went by

    def on_unmount(self) -> None:
        self.state.engine.drawn.pop(self.place.name, None)
        self.desk.read_shown_run()

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        wide = self.app.size.width >= 100
        self.set_class(wide, "-wide")
        self.set_class(self.app.size.height < 20, "-low")
        self.chart.told_beside = wide

    def on_run_table_moved(self) -> None:
        self.draw()

    def redraw(self, kinds: set[What]) -> None:
        if kinds & _SHOWN and self.is_mounted:
            self.draw()

    def draw(self) -> None:
        if not self.is_mounted:
            return
        engine, picks = self.state.engine, self.picks
        picks.forget(engine.runs)
        self.set_class(not engine.runs, "-none")
        fault = picks.filter.fault
        self.fault.update(fault)
        self.fault.display = bool(fault)
        if self.table.size.height != self.table.get_content_height(None, None, 0):
            self.table.refresh(layout=True)
        run = self.table.run
        self.view.follow(engine, run)
        self.head.say(self._summary())
        self.chart.whole_page = self.has_class("-full")
        self.table.redraw()
        engine.drawn[self.place.name] = tuple(each.id for each in self.view.drawn)
        for each in self.view.drawn:
            self._read(each)
        here = run.id if run is not None else ""
        self.chart.show(here)
        self.facts.show(here)

    def _summary(self) -> str:
        everything, picks = self.state.engine.runs, self.picks
        if not everything:
            return ""
        shown = len(self.table.shown)
        going = sum(run.state not in runs.ENDED_STATES for run in everything.values())
        parts = [
            plural(len(everything), "run") if shown == len(everything) else f"{shown} of {len(everything)}"
        ]
        parts += [f"{going} going"] if going else []
        parts += [f"sort: {label(picks.sort)} {'▾' if picks.down else '▴'}"] if picks.sort else []
        parts += [f"{len(picks.chosen)} selected"] if picks.chosen else []
        parts += [f"overlay by {self.view.axis}"] if len(picks.chosen) > 1 else []
        if picks.words and not self.query_one(".filter").has_class("-shown"):
            parts.append(f"filter: {name(picks.words)}")
        return " · ".join(parts)

    def _read(self, run: runs.RunInfo) -> None:
        """Have its curve read from the log, once for as long as it is kept."""
        curve = self.state.engine.curves.get(run.id)
        if curve is not None and curve.whole:
            self._asked.discard(run.id)
        elif run.id not in self._asked:
            self._asked.add(run.id)
            self.desk.read_run(run.id)

    def action_runs_everywhere(self) -> None:
        self.desk.run_command("everywhere")

    def action_leave_layer(self) -> None:
        """One layer at a time: the filter's line, the page, the selection, the filter, the screen."""
        if self.focused is self.filter:
            self.filter.value = ""
            self.picks.narrow("")
            self.table.focus()
            self.show_filter()
        elif self.has_class("-full"):
            self.remove_class("-full")
        elif self.picks.chosen:
            self.picks.chosen.clear()
            self.picks.cross = None
        elif self.picks.words:
            self.filter.value = ""
            self.picks.narrow("")
            self.show_filter()
        else:
            self.dismiss()
            return
        self.draw()
