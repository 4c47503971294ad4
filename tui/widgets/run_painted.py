"""What is painted of one run."""

from __future__ import annotations

from tui.state import State
from tui.widgets.painted import Painted


class RunPainted(Painted):
    """Paints the run that it was told of last; subclasses look up `_run` in the state."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state
        self._run = ""

    def show(self, run: str) -> None:
        """Paint this run from now on."""
        self._run = run
        self.redraw()
