"""The line above the composer while a message is edited."""

from __future__ import annotations

from textual.widgets import Static


class EditLine(Static):
    """Hidden while nothing is edited."""

    DEFAULT_CSS = """
    EditLine {
        display: none;
        height: auto;
        padding: 0 2;
        background: $background;
        color: $accent;
    }
    """

    def __init__(self) -> None:
        super().__init__("", markup=False)

    def say(self, words: str) -> None:
        """Show this; empty hides the line."""
        self.update(words)
        self.display = bool(words)
