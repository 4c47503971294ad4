"""Asks for one line of text: a name, tags, a note."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from tui.modals.dialog import Dialog


class OneLine(Dialog[str]):
    """Dismisses with what was typed, which may be nothing."""

    def __init__(
        self, title: str, value: str, *, placeholder: str = "", words: str = "", limit: int = 80
    ) -> None:
        super().__init__()
        self._title, self._value, self._limit = title, value, limit
        self._placeholder, self._words = placeholder, words

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_title = self._title
            panel.border_subtitle = "Enter save · Esc"
            yield Input(self._value, placeholder=self._placeholder, max_length=self._limit)
            yield Static(self._words, classes="quiet", markup=False)

    def on_input_submitted(self) -> None:
        self.action_accept()

    def action_accept(self) -> None:
        self.dismiss(" ".join(self.query_one(Input).value.split()))
