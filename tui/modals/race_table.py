"""What came of a race: a row a setting, read again whenever one of its runs changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from engine.api import commands, runs
from tui.actions import Where
from tui.bindings import bindings
from tui.format import shorten
from tui.modals.dialog import Dialog
from tui.race_cells import NUMBERS, headline, note, rows_of
from tui.widgets.lines import line, name, stack

LOOK = 1.0
"""Seconds between two readings while the race goes on."""
GAP = 2
LEAST = ("setting", "eval loss", "verdict")
"""Columns that are there however narrow it is."""
FIRST_OUT = ("forgetting", "adapter", "memory", "step", "time", "score")
"""Columns that are left out where there is no room, in this order."""


class RaceTable(Dialog[str]):
    """Dismisses with the id of a run to look at, or None. `act` does `copy`, `pause` and `stop`."""

    DEFAULT_CSS = """
    RaceTable > .panel {
        width: 94%;
    }
    RaceTable VerticalScroll {
        height: auto;
        max-height: 100%;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.RACE)

    def __init__(
        self,
        table: commands.RaceTable,
        again: Callable[[Callable[[commands.RaceTable], None]], None],
        act: Callable[[str, commands.RaceTable], None],
    ) -> None:
        """`again` reads the table anew and hands it over."""
        super().__init__()
        self.table = table
        self._again, self._act = again, act

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_title = name(self.table.race.group)
            yield Static(classes="quiet head", markup=False)
            with VerticalScroll():
                yield Static(classes="words body", markup=False)
            yield Static(classes="quiet foot", markup=False)

    def on_mount(self) -> None:
        self.show(self.table)
        self.set_interval(LOOK, self._look)

    def on_resize(self) -> None:
        self.show(self.table)

    def _look(self) -> None:
        if not self.table.over:
            self._again(self.show)

    def show(self, table: commands.RaceTable) -> None:
        """This is how it stands now."""
        self.table = table
        if not self.is_attached:
            return
        width = self.app.size.width * 94 // 100 - 8
        self.query_one(".head", Static).update(headline(table) + "\n")
        self.query_one(".body", Static).update(words(table, width))
        told = note(table)
        foot = self.query_one(".foot", Static)
        foot.update("\n" + told)
        foot.display = bool(told)
        going = any(state not in runs.ENDED_STATES for row in table.rows for state in row.states)
        keys = "y copy · p pause · S stop · Esc" if going else "y copy · Esc"
        self.query_one(".panel").border_subtitle = keys

    def action_race_copy(self) -> None:
        self._act("copy", self.table)

    def action_race_pause(self) -> None:
        self._act("pause", self.table)

    def action_race_stop(self) -> None:
        self._act("stop", self.table)


def words(table: commands.RaceTable, width: int) -> Content:
    """The columns that fit, the best row first and bold."""
    rows = rows_of(table)
    columns = list(range(len(rows[0])))
    for title in FIRST_OUT:
        if _wide(rows, columns) <= width:
            break
        columns = [at for at in columns if rows[0][at] != title]
    spare = max(0, _wide(rows, columns) - width)
    widths = {at: max(len(row[at]) for row in rows) for at in columns}
    widths[0] = max(8, widths[0] - spare)
    lines = []
    for place, row in enumerate(rows):
        cells = []
        for at in columns:
            cell = shorten(row[at], widths[at])
            cells.append(f"{cell:>{widths[at]}}" if at in NUMBERS else f"{cell:<{widths[at]}}")
        style = "$thought" if place == 0 else "bold" if row[2] == "best" else ""
        lines.append(line(((" " * GAP).join(cells), style)))
    return stack(lines)


def _wide(rows: list[list[str]], columns: list[int]) -> int:
    return sum(max(len(row[at]) for row in rows) + GAP for at in columns) - GAP
