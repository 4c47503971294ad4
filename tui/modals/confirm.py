"""One question, yes or no."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from tui.modals.dialog import Dialog
from tui.text import clean


class Confirm(Dialog[bool]):
    """True after Enter or y; None after Escape or n."""

    def __init__(self, question: str, detail: str = "", yes: str = "yes") -> None:
        super().__init__()
        self._question, self._detail, self._yes = question, detail, yes

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_subtitle = f"Enter {self._yes} · Esc no"
            yield Static(clean(self._question), classes="words", markup=False)
            if self._detail:
                yield Static("\n" + clean(self._detail), classes="quiet", markup=False)

    def on_key(self, event: events.Key) -> None:
        if event.key in ("y", "n"):
            event.stop()
            self.dismiss(True if event.key == "y" else None)

    def action_accept(self) -> None:
        self.dismiss(True)
