"""The field that names the data: completes paths and names, takes what is dropped and what is pasted."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.suggester import Suggester

from tui.text import clean
from tui.widgets.fields import TextField

PASTE_LIMIT = 900_000
"""Bytes of a paste that can become rows: it goes to the engine as one line of at most 1 MiB."""


class DataSuggester(Suggester):
    """The first known name that begins with what is typed, else the first path that does."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self.names: list[str] = []
        """Of datasets that come with Qwill, and of one's own."""
        self.paths: Suggester | None = None
        """Completes paths where the engine is on another machine."""

    async def get_suggestion(self, value: str) -> str | None:
        """The whole name or path, as typed so far; None where nothing fits."""
        from tui.modals.file_suggester import FileSuggester

        known = next((each for each in self.names if value and each.startswith(value)), None)
        return known or await (self.paths or FileSuggester()).get_suggestion(value)


class DataField(TextField):
    """A dropped file stands there as its plain path; several pasted lines are rows of their own."""

    class Pasted(Message):
        """Lines were pasted that may be questions and answers."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, value: str, *, auto: str = "") -> None:
        super().__init__("data", value, auto=auto, wide=True)
        self.known = DataSuggester()
        self.suggester = self.known

    def _on_paste(self, event: events.Paste) -> None:
        from tui.attach import dropped

        event.stop()
        event.prevent_default()
        path = dropped(event.text)
        if path is not None:
            self.value = clean(str(path))
            self.cursor_position = len(self.value)
        elif len(event.text.strip().splitlines()) > 1 or "\t" in event.text.strip():
            self.post_message(self.Pasted(event.text))
        else:
            self.insert_text_at_cursor(clean(event.text.strip()))
