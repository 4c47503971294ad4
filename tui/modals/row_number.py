"""Asks which row to go to."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from tui.modals.dialog import Dialog


class RowNumber(Dialog[int]):
    """Dismisses with a row's number, from 1."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self._rows = rows

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_title = "Go to a row"
            panel.border_subtitle = "Enter · Esc"
            yield Input(placeholder=f"1 to {self._rows:,}", type="integer", max_length=12)
            yield Static("", classes="grave", markup=False)

    def on_input_submitted(self) -> None:
        self.action_accept()

    def action_accept(self) -> None:
        try:
            row = int(self.query_one(Input).value)
        except ValueError:
            return
        if 1 <= row <= self._rows:
            self.dismiss(row)
        else:
            self.query_one(Static).update(f"There are rows 1 to {self._rows:,}.")
