"""How to stop a run: with its adapter, or without."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from engine.api import runs
from tui.modals.dialog import Dialog
from tui.widgets.lines import name


class StopRun(Dialog[bool]):
    """True: keep the adapter as it is now; False: keep nothing; None: go on."""

    def __init__(self, run: runs.RunInfo) -> None:
        super().__init__()
        self._run = run

    def compose(self) -> ComposeResult:
        run = self._run
        with Vertical(classes="panel") as panel:
            panel.border_subtitle = "Enter keeps the adapter · n does not · Esc goes on"
            where = f" at step {run.step:,} of {run.steps:,}" if run.steps else ""
            yield Static(f"Stop {name(run.name)}{where}?", classes="words", markup=False)
            yield Static("\nThe adapter can be kept as it is now.", classes="quiet", markup=False)

    def on_key(self, event: events.Key) -> None:
        if event.key in ("y", "n"):
            event.stop()
            self.dismiss(event.key == "y")

    def action_accept(self) -> None:
        self.dismiss(True)
