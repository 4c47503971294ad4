"""Under the table of runs: those of the other places that are open, so that one screen tells of all."""

from __future__ import annotations

from collections.abc import Callable

from textual.content import Content

from tui.modals.places import PLACE, standing
from tui.switching import Where
from tui.widgets.lines import line, name, spread
from tui.widgets.painted import Painted
from tui.widgets.run_lines import MARKS

MOST = 4
"""Rows at most; the list of all runs has the others."""
EVERY = 1.0
"""Seconds between two looks: the other links draw nothing by themselves."""


class ElsewhereRuns(Painted):
    """Nothing at all where no other place is open."""

    DEFAULT_CSS = """
    ElsewhereRuns {
        height: auto;
        max-height: 5;
        background: $background;
        display: none;
    }
    ElsewhereRuns.-shown {
        display: block;
    }
    """

    def __init__(self, found: Callable[[], list[Where]]) -> None:
        super().__init__()
        self._found = found
        self._runs: list[Where] = []

    def on_mount(self) -> None:
        self.look()
        self.set_interval(EVERY, self.look)

    def look(self) -> None:
        """See what the other places have now."""
        before = len(self._runs)
        self._runs = self._found()
        self.set_class(bool(self._runs), "-shown")
        if len(self._runs) != before:
            self.refresh(layout=True)
        self.redraw()

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        """One line a run, and the title."""
        return 1 + min(MOST, len(self._runs))

    def lines(self, width: int, height: int) -> list[Content]:
        """Where, how it is called, how far it is."""
        more = len(self._runs) - MOST
        words = f" ELSEWHERE · {more} more" if more > 0 else " ELSEWHERE"
        rows = [spread(line((words, "$thought")), line(("W lists all ", "$thought")), width)]
        for each in self._runs[:MOST]:
            mark, style = MARKS[each.run.state]
            where = f"   {name(each.place)[:PLACE]:<{PLACE}} "
            left = line((where, "$thought"), (f"{mark} ", style), name(each.run.name))
            rows.append(spread(left, line((f"{standing(each.run)} ", "$thought")), width))
        return rows
