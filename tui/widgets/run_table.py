"""The runs as a table with one cursor; the selected ones have the letter of their line."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message

from engine.api import runs
from tui.format import shorten
from tui.overlay_cells import colour, letter
from tui.run_diff import against
from tui.run_picks import Picks
from tui.run_values import shown, value
from tui.state import State
from tui.widgets.lines import line, name
from tui.widgets.painted import Painted
from tui.widgets.run_lines import MARKS, standing

CHOSEN = "◉"
# Title, columns, narrowest screen that shows it. `change` takes what the others leave.
COLUMNS = (
    ("state", 12, 0),
    ("eval", 7, 48),
    ("loss", 7, 0),
    ("step", 12, 60),
    ("time", 11, 76),
    ("peak", 9, 92),
)
CHANGE, TAGS = "Δ settings against the first", 14
NAME = 10
"""Columns of a name at least."""


class RunTable(Painted, can_focus=True):
    """Name, state, eval, loss, what differs, time, peak, tags; as many as there is room for."""

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

    def __init__(self, state: State, picks: Picks, run: str = "") -> None:
        super().__init__()
        self._state = state
        self._picks = picks
        self._wanted = run
        self._first = 0

    @property
    def shown(self) -> list[runs.RunInfo]:
        """The rows that the filter leaves, in their order."""
        return self._picks.shown(self._state.engine.newest_runs())

    @property
    def run(self) -> runs.RunInfo | None:
        """The run under the cursor."""
        found = self.shown
        for run in found:
            if run.id == self._wanted:
                return run
        return next((run for run in found if run.name == self._wanted), found[0] if found else None)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        """One line a run, and the titles."""
        return 1 + max(1, len(self.shown))

    def step(self, by: int) -> None:
        """Move the cursor."""
        found, run = [run.id for run in self.shown], self.run
        if run is not None:
            self.go(found[min(len(found) - 1, max(0, found.index(run.id) + by))])

    def go(self, run: str) -> None:
        """Put the cursor on this run."""
        self._wanted = run
        self.redraw()
        self.post_message(self.Moved())

    def lines(self, width: int, height: int) -> list[Content]:
        """The titles, and the runs around the cursor."""
        found, here = self.shown, self.run
        if not found:
            return [self._titles(width), line(("   No run is like that.", "$thought"))]
        room = max(1, height - 1)
        at = found.index(here) if here in found else 0
        self._first = min(max(0, at - room + 1, min(self._first, at)), max(0, len(found) - room))
        rows = [self._titles(width)]
        first = next((run for run in self._picks.drawn(None, self._state.engine.runs)), found[0])
        for run in found[self._first : self._first + room]:
            row = self._row(run, first, width)
            if run is here:
                row = row.pad_right(width - row.cell_length).stylize(
                    "$block-cursor-foreground on $block-cursor-background"
                )
            rows.append(row)
        return rows

    def on_click(self, event: events.Click) -> None:
        found = self.shown
        at = self._first + event.y - 1
        if 0 <= at < len(found) and event.y > 0:
            self.go(found[at].id)

    # --- columns ----------------------------------------------------------------------------

    def columns(self, width: int) -> list[tuple[str, int]]:
        """Keys with their widths; the one that is sorted by has a column whatever happens."""
        more = 20 if self._picks.chosen else 0  # what differs comes before step and time
        late = ("step", "time")
        found = [(title, w) for title, w, least in COLUMNS if width >= least + more * (title in late) * 2]
        sort = self._picks.sort
        if sort and sort not in ("name", "tags") and sort not in [title for title, _ in found]:
            if width < 76 and len(found) > 2:
                found.pop()
            found.append((sort, max(9, len(sort) + 3)))
        return found

    def _widths(self, width: int) -> tuple[int, int, int]:
        """Of the name, of what differs, and of the tags; 0 where it is not shown."""
        left = width - 6 - sum(wide for _, wide in self.columns(width))
        tags = TAGS if left >= NAME + TAGS + 8 and any(run.tags for run in self.shown) else 0
        left -= tags
        if left < NAME + 22:
            return max(NAME, left), 0, tags
        names = max((len(run.name) for run in self.shown), default=0)
        title = min(max(16, names + 1), left - 20)
        return title, left - title, tags

    def _titles(self, width: int) -> Content:
        wide, change, tags = self._widths(width)
        sort = self._picks.sort
        arrow = "▾" if self._picks.down else "▴"
        cells = "".join(
            f"{title + arrow if title == sort else title:>{w}}" for title, w in self.columns(width)
        )
        head = f"name{arrow}" if sort == "name" else "name"
        what = CHANGE if self._picks.chosen else "method, data"
        middle = f"  {shorten(what, change - 2):<{change - 2}}" if change else ""
        return line((f"     {head:<{wide}}{cells}{middle}" + ("  tags" if tags else ""), "$thought"))

    def _row(self, run: runs.RunInfo, first: runs.RunInfo, width: int) -> Content:
        wide, change, tags = self._widths(width)
        number = self._picks.chosen.get(run.id)
        pick = f"{CHOSEN}{letter(number)}" if number is not None else "  "
        mark, style = MARKS[run.state]
        title = shorten(name(run.name), wide - 1)
        cells = "".join(f"{shorten(cell(run, key), w - 1):>{w}}" for key, w in self.columns(width))
        middle = f"  {shorten(name(self._change(first, run)), change - 2):<{change - 2}}" if change else ""
        end = f"  {shorten(name(' '.join(run.tags)), tags - 2)}" if tags else ""
        return line(
            (pick, f"bold {colour(run.id)}" if number is not None else ""),
            " ",
            (mark, style),
            " ",
            (f"{title:<{wide}}", "bold"),
            (cells, "$foreground 80%"),
            (f"{middle}{end}", "$thought"),
        )

    def _change(self, first: runs.RunInfo, run: runs.RunInfo) -> str:
        if self._picks.chosen:
            return against(first, run)
        method = shown("method", value(run, "method"))
        return f"{method} {run.spec.rank}, {shown('data', run.spec.data)}" + (
            f" · {run.note}" if run.note else ""
        )


def cell(run: runs.RunInfo, title: str) -> str:
    """What stands in a column."""
    if title == "state":
        return standing(run)
    if title == "step":
        return f"{run.step:,}/{run.steps:,}" if run.state != "done" and run.steps else f"{run.step:,}"
    return name(shown(title, value(run, title)))
