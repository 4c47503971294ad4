"""Asks for a folder; Tab or Right completes its name."""

from __future__ import annotations

from pathlib import Path

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.suggester import Suggester
from textual.widgets import Input, Static

from tui.modals.dialog import Dialog


class FolderDialog(Dialog[str]):
    """Dismisses with the path as it was typed."""

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_title = "Add a folder"
            panel.border_subtitle = "Enter add · Tab complete · Esc"
            yield Input(placeholder="~/models", suggester=FolderSuggester())
            yield Static(
                "A folder that is a model, or holds some (config.json and *.safetensors each). "
                "Adapters in it are found too. It is searched at later starts as well.",
                classes="quiet",
                markup=False,
            )

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


class FolderSuggester(Suggester):
    """The first folder on this machine whose path begins with what is typed."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """The whole path, as typed so far; None where nothing fits."""
        head, slash, start = value.rpartition("/")
        if not slash or not start:
            return None
        try:
            names = sorted(
                entry.name
                for entry in Path(f"{head}/").expanduser().iterdir()
                if entry.name.startswith(start) and entry.is_dir()
            )
        except (OSError, RuntimeError):
            return None
        return f"{head}/{names[0]}/" if names else None
