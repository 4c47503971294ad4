"""Asks which file chats are read from, and tells afterwards what came of it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from engine.api import Tally
from tui.format import plural
from tui.modals.dialog import Dialog
from tui.modals.file_suggester import FileSuggester
from tui.modals.path_dialog import PathDialog
from tui.text import clean

SHOWN = 8
"""Reasons that the report names."""


class ImportChats(PathDialog):
    """A file of chats, whoever wrote it."""

    HEADING = "Import chats"
    KEYS = "Enter imports · Tab completes · Esc"
    EXAMPLE = "~/Downloads/conversations.json"
    ABOUT = (
        "What is in the file tells its format: Qwill's JSON, ChatGPT's export (the zip too), "
        "LM Studio's conversations (the folder too), oterm's store.db, ShareGPT, "
        "or messages as JSON or JSONL."
    )
    COMPLETES = FileSuggester


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
