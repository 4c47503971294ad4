"""What went wrong, why, and what to do next."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from engine.api import ErrorInfo
from tui.modals.dialog import Dialog
from tui.text import clean


class ErrorDialog(Dialog[None]):
    """Title, detail, remedy; `c` copies all of it."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__()
        self.info = info

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_subtitle = "Esc closes · c copies"
            yield Static(_sentence(self.info.title), classes="grave", markup=False)
            if self.info.detail:
                yield Static("\n" + _sentence(self.info.detail), classes="quiet", markup=False)
            if self.info.remedy:
                yield Static("\n" + _sentence(self.info.remedy), classes="words", markup=False)

    def on_key(self, event: events.Key) -> None:
        if event.key == "c":
            event.stop()
            self.app.copy_to_clipboard(self.info.sentence())


def _sentence(text: str) -> str:
    text = clean(text)
    return text if text.endswith((".", "!", "?")) else text + "."
