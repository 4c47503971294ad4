"""A text field of the pair editor: Ctrl+J makes a line, Enter belongs to the screen."""

from __future__ import annotations

import asyncio

from textual import events
from textual.widgets import TextArea


class PairArea(TextArea):
    """Plain wrapped text, no cursor that blinks."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(
            "",
            id=field,
            soft_wrap=True,
            tab_behavior="focus",
            show_line_numbers=False,
            highlight_cursor_line=False,
            placeholder=words,
        )
        self.cursor_blink = False

    async def typed(self) -> None:
        """Return once every key that was sent to this field before stands in it."""
        done = asyncio.Event()
        self.call_later(done.set)
        await done.wait()

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "ctrl+j":
            event.stop()
            event.prevent_default()
            self.insert("\n")
        else:
            await super()._on_key(event)
