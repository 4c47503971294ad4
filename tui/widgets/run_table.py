"""The runs as a table with one cursor."""

from __future__ import annotations

import time

from textual import events
from textual.content import Content
from textual.message import Message

from engine.api import runs
from tui.format import seconds, shorten, size
from tui.state import State
from tui.widgets.lines import line, name
from tui.widgets.painted import Painted
from tui.widgets.run_lines import MARKS, number, standing

# Title, columns, narrowest screen that shows it.
COLUMNS = (
    ("state", 12, 0),
    ("eval", 7, 48),
    ("loss", 7, 0),
    ("step", 12, 60),
    ("time", 11, 76),
    ("peak", 9, 92),
    ("data", 20, 104),
)


class RunTable(Painted, can_focus=True):
    """Name, state, eval, loss, step, time, peak, data; as many as there is room for."""

    DEFAULT_CSS = """
    RunTable {
        height: auto;
        min-height: 2;
        max-height: 40%;
        background: $background;
    }
    """

    class Moved(Message):
        """The cursor stands on another run."""

    def __init__(self, state: State, run: str = "") -> None:
        super().__init__()
        self._state = state
        self._wanted = run
        self._first = 0

    @property
    def run(self) -> runs.RunInfo | None:
        """The run under the cursor."""
        shown = self._state.engine.newest_runs()
        for run in shown:
            if run.id == self._wanted:
                return run
        return next((run for run in shown if run.name == self._wanted), shown[0] if shown else None)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        """One line a run, and the titles."""
        return 1 + max(1, len(self._state.engine.runs))

    def step(self, by: int) -> None:
        """Move the cursor."""
        shown = [run.id for run in self._state.engine.newest_runs()]
        run = self.run
        if run is not None:
            self.go(shown[min(len(shown) - 1, max(0, shown.index(run.id) + by))])

    def go(self, run: str) -> None:
        """Put the cursor on this run."""
        self._wanted = run
        self.redraw()
        self.post_message(self.Moved())

    def lines(self, width: int, height: int) -> list[Content]:
        """The titles, and the runs around the cursor."""
        shown, here = self._state.engine.newest_runs(), self.run
        room = max(1, height - 1)
        at = shown.index(here) if here in shown else 0
        self._first = min(max(0, at - room + 1, min(self._first, at)), max(0, len(shown) - room))
        columns = [(title, wide) for title, wide, least in COLUMNS if width >= least]
        left = max(10, width - 4 - sum(wide for _, wide in columns))
        titles = "".join(f"{title:>{wide}}" for title, wide in columns)
        rows = [line((f"   {'name':<{left}}{titles} ", "$thought"))]
        for run in shown[self._first : self._first + room]:
            row = self._row(run, left, columns, width)
            if run is here:
                row = row.pad_right(width - row.cell_length).stylize(
                    "$block-cursor-foreground on $block-cursor-background"
                )
            rows.append(row)
        return rows

    def on_click(self, event: events.Click) -> None:
        shown = self._state.engine.newest_runs()
        at = self._first + event.y - 1
        if 0 <= at < len(shown) and event.y > 0:
            self.go(shown[at].id)

    def _row(self, run: runs.RunInfo, left: int, columns: list[tuple[str, int]], width: int) -> Content:
        mark, style = MARKS[run.state]
        title = shorten(name(run.name), left - 1)
        cells = "".join(f"{shorten(cell(run, title_), wide - 1):>{wide}}" for title_, wide in columns)
        return line(" ", (mark, style), " ", (f"{title:<{left}}", "bold"), (f"{cells} ", "$foreground 80%"))


def cell(run: runs.RunInfo, title: str) -> str:
    """What stands in a column."""
    match title:
        case "state":
            return standing(run)
        case "eval":
            return number(run.eval_loss)
        case "loss":
            return number(run.loss)
        case "step":
            return f"{run.step:,}/{run.steps:,}" if run.state != "done" and run.steps else f"{run.step:,}"
        case "time":
            if not run.started:
                return "–"
            return seconds((run.ended or time.time()) - run.started)
        case "peak":
            return size(run.peak) if run.peak else "–"
        case _:
            return name(run.spec.data.rpartition("/")[2].removeprefix("shipped:"))
