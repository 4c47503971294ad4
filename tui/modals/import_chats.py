"""Asks which file chats are read from, and tells afterwards what came of it."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from engine.api import Tally
from tui.format import plural
from tui.modals.dialog import Dialog
from tui.modals.file_suggester import FileSuggester
from tui.text import clean

SHOWN = 8
"""Reasons that the report names."""


class ImportChats(Dialog[str]):
    """Dismisses with the path as it was typed."""

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_title = "Import chats"
            panel.border_subtitle = "Enter imports · Tab completes · Esc"
            yield Input(placeholder="~/Downloads/conversations.json", suggester=FileSuggester())
            yield Static(
                "What is in the file tells its format: Qwill's JSON, ChatGPT's export (the zip too), "
                "LM Studio's conversations (the folder too), oterm's store.db, ShareGPT, "
                "or messages as JSON or JSONL.",
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


class ImportReport(Dialog[None]):
    """What came in, and what was left out with the reason and its first place."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_title = "Imported"
            panel.border_subtitle = "Enter · Esc"
            yield Static(imported(self._tally), classes="words", markup=False)
            lines = self._tally.lines()
            more = [f"and {plural(len(lines) - SHOWN, 'other reason')}"] if len(lines) > SHOWN else []
            told = "\n".join(["Left out:", *lines[:SHOWN], *more])
            yield Static("\n" + clean(told), classes="quiet", markup=False)


def imported(tally: Tally) -> str:
    """`12 chats with 340 messages came in, 3 things were left out.`"""
    came = f"{plural(tally.chats, 'chat')} with {plural(tally.messages, 'message')} came in"
    left = f", {plural(tally.skipped, 'thing')} left out" if tally.skipped else ""
    return f"{came}{left}."
