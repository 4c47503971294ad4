"""Asks what a preset should be called."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from tui.modals.dialog import Dialog


class PresetName(Dialog[str]):
    """Dismisses with the name."""

    def __init__(self, taken: set[str]) -> None:
        """`taken`: names of presets that would be replaced."""
        super().__init__()
        self._taken = {title.casefold() for title in taken}

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_title = "Save as a preset"
            panel.border_subtitle = "Enter save · Esc"
            yield Input(placeholder="Its name", max_length=40)
            yield Static("What this chat chose itself goes into it, the system prompt too.", classes="quiet")

    def on_input_changed(self, event: Input.Changed) -> None:
        known = " ".join(event.value.split()).casefold() in self._taken
        self.query_one(Static).update("It replaces the preset of this name." if known else "")

    def on_input_submitted(self) -> None:
        self.action_accept()

    def action_accept(self) -> None:
        title = self.query_one(Input).value.strip()
        if title:
            self.dismiss(title)
