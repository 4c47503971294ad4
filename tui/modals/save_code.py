"""Asks where a code block is to be saved."""

from __future__ import annotations

from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from tui.modals.dialog import Dialog
from tui.text import clean


class SaveCode(Dialog[str]):
    """Dismisses with the path as it was typed."""

    def __init__(self, title: str, file: str) -> None:
        super().__init__()
        self._title, self._file = title, file

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_title = self._title
            panel.border_subtitle = "Enter save · Esc"
            yield Input(value=self._file)
            words = f"Without a folder it goes to {clean(str(Path.cwd()))}. Nothing is replaced unasked."
            yield Static(words, classes="quiet", markup=False)

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    def on_input_submitted(self) -> None:
        self.action_accept()

    def action_accept(self) -> None:
        self.dismiss(self.query_one(Input).value.strip() or None)
