"""The frame of the dialogs that ask for one path; Tab completes it."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.suggester import Suggester
from textual.widgets import Input, Static

from tui.modals.dialog import Dialog


class PathDialog(Dialog[str]):
    """Dismisses with the path as it was typed."""

    HEADING: str
    KEYS: ClassVar[str]
    EXAMPLE: str
    ABOUT: ClassVar[str]
    """What may lie at the path."""
    COMPLETES: ClassVar[type[Suggester]]

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_title = f"{self.HEADING}{self.here()}"
            panel.border_subtitle = self.KEYS
            yield Input(placeholder=self.EXAMPLE, suggester=self.suggester())
            yield Static(self.ABOUT, classes="quiet", markup=False)

    def suggester(self) -> Suggester:
        """What Tab completes with."""
        return self.COMPLETES()

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    def on_key(self, event: events.Key) -> None:
        if event.key == "tab":
            event.stop()
            event.prevent_default()
            self.query_one(Input).action_cursor_right()

    def on_input_submitted(self) -> None:
        self.action_accept()

    def action_accept(self) -> None:
        self.dismiss(self.query_one(Input).value.strip() or None)
