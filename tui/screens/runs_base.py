"""What the parts of the runs screen share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.widgets import Input

from engine.api import ErrorInfo, commands, runs
from tui.run_picks import Picks
from tui.run_view import RunView
from tui.screens.layer import Layer
from tui.widgets.run_chart import RunChart
from tui.widgets.run_table import RunTable


class RunsBase(Layer):
    """The widgets by name, and helpers. The verbs are in the classes on top of it."""

    picks: Picks
    view: RunView
    table: RunTable
    chart: RunChart
    filter: Input

    def draw(self) -> None:
        """Bring everything in line with the state, the picks and the cursor."""
        raise NotImplementedError

    def here(self) -> runs.RunInfo | None:
        """The run under the cursor; what there is none of is said."""
        run = self.table.run
        if run is None:
            self.say("There is no run here.")
        return run

    def meant(self) -> list[runs.RunInfo]:
        """The selected runs, else the one under the cursor."""
        return self.picks.drawn(self.table.run, self.state.engine.runs)

    def ask(
        self,
        command: commands.Command,
        then: Callable[[Any], None] | None = None,
        failed: Callable[[ErrorInfo], None] | None = None,
    ) -> None:
        """Ask the engine; a refusal is said on the bottom line."""
        self.desk.ask(command, then, failed=failed or self.failed)

    def failed(self, info: ErrorInfo) -> None:
        """A refusal, in a sentence."""
        self.say(info.sentence(), grave=True, for_seconds=8)
