"""What the parts of the model browser share: its widgets, what it knows, and how it is drawn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from textual.widgets import Input

from engine.api import ErrorInfo
from tui.forecast import Choice, Rules, quants, rules_of
from tui.model_rows import Known, Row, Section, by_name
from tui.model_sections import items
from tui.screens.layer import Layer
from tui.server_rows import ServerLine
from tui.widgets.lines import name
from tui.widgets.model_detail import ModelDetail
from tui.widgets.model_table import ModelTable

if TYPE_CHECKING:
    from engine.api import Entry, Pick
    from tui.screens.chat import Workbench

MOVED = 64 << 20
"""Bytes of free memory by which the catalogue is ranked anew."""


class Browser(Layer):
    """The verbs are in the classes on top of it."""

    desk: Workbench
    filter: Input
    table: ModelTable
    detail: ModelDetail

    def __init__(self, desk: Workbench) -> None:
        super().__init__(desk)
        self.known = Known()
        self.choices: dict[str, Choice] = {}
        """What was chosen for models before their load, by key of the row."""
        self.rules = Rules()
        self.asking = False
        """Whether the line on top takes words for the hub, not for the list."""
        self._ranked_at = 0
        self._ranking = False

    def draw(self) -> None:
        """Bring everything in line with the state."""
        raise NotImplementedError

    def reread(self) -> None:
        """The lines anew, from the state and from what the browser knows."""
        engine = self.state.engine
        self.rules = rules_of(engine)
        words = "" if self.asking else self.filter.value
        self.table.take(items(engine, self.known, self.rules, words, self.choices))

    def look_closer(self) -> None:
        """The pane beside the list tells of the line under the cursor."""
        here = self.table.line_here
        if isinstance(here, ServerLine):
            self.detail.show_server(here)
            return
        row = self.table.row
        choices = row is not None and row.forecast is not None and len(quants(row.model, self.rules)) > 1
        self.detail.show(row, self.rules, choices=choices)

    def attempt(self, work: Awaitable[None]) -> None:
        """Do something that asks the engine; what goes wrong is told."""
        self.desk.attempt(work, failed=self.failed)

    def failed(self, info: ErrorInfo) -> None:
        """A request was refused."""
        self.say("")
        self.desk.fail(info)

    def section(self) -> Section:
        """Where the cursor stands."""
        here = self.table.line_here if self.is_mounted else None
        if isinstance(here, Row):
            return here.section
        if here is None or isinstance(here, ServerLine):
            return "here"
        return "catalogue" if here.key == "more" else "hub"

    def title_of(self, row: Row) -> str:
        return name(row.name)

    # --- the catalogue, read and ranked beside everything else ------------------------------

    def rank_soon(self) -> None:
        """Rank the catalogue if it was not yet, or the memory is another by now."""
        facts = self.rules.facts
        free = facts.free if facts else 0
        if self._ranking or (self.known.picks is not None and abs(free - self._ranked_at) < MOVED):
            return
        self._ranking, self._ranked_at = True, free
        self.run_worker(self._rank())

    def rank_anew(self) -> None:
        """Whatever the memory: what is asked for has changed."""
        self._ranked_at = -MOVED
        self.rank_soon()

    async def _rank(self) -> None:
        try:
            engine = self.state.engine
            if not engine.bandwidth and not engine.host:  # what can be measured here is this machine's
                engine.bandwidth = await asyncio.to_thread(_bandwidth)
            rules = rules_of(engine)
            entries, picks = await asyncio.to_thread(_ranked, rules, self.known.use)
        finally:
            self._ranking = False
        self.known.entries, self.known.picks = entries, picks
        if self.is_attached:
            self.draw()


def _bandwidth() -> float:
    from engine.api import memory_bandwidth

    return memory_bandwidth()


def _ranked(rules: Rules, use: str) -> tuple[dict[str, Entry], list[Pick]]:
    from engine.api import read_catalogue, what_fits

    entries = read_catalogue()
    picks = what_fits(entries, rules.facts, use=use, reserve=rules.reserve, correction=rules.correction)
    return by_name(entries), picks
