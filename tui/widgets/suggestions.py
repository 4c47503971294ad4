"""What a slash command or a path could become, above the composer."""

from __future__ import annotations

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from tui.slash import Completion
from tui.widgets.lines import line, name, stack

MOST = 8


class Suggestions(Widget):
    """A short list with a cursor; hidden while it is empty."""

    DEFAULT_CSS = """
    Suggestions {
        display: none;
        height: auto;
        max-height: 8;
        padding: 0 2;
        background: $surface;
    }
    Suggestions.-shown {
        display: block;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._items: list[Completion] = []
        self._at = 0
        self.stepped = False
        """Whether the cursor was moved since they were offered."""

    @property
    def current(self) -> Completion | None:
        """The one under the cursor; None while the list is hidden."""
        return self._items[self._at] if self._items else None

    def offer(self, items: list[Completion]) -> None:
        """Show these; the cursor goes to the first."""
        if items == self._items:
            return
        self._items, self._at, self.stepped = items, 0, False
        self.set_class(bool(items), "-shown")
        self.refresh(layout=True)

    def step(self, by: int) -> None:
        """Move the cursor, round the ends."""
        self._at = (self._at + by) % len(self._items)
        self.stepped = True
        self.refresh()

    def render(self) -> Content:
        """The stretch of the list around the cursor."""
        first = max(0, min(self._at - MOST + 1, len(self._items) - MOST))
        shown = self._items[first : first + MOST]
        column = min(self.size.width * 3 // 5, max((cell_len(name(item.text)) for item in shown), default=0))
        rows = []
        for index, item in enumerate(shown, start=first):
            left = line((_end(name(item.text), max(column, 14)), "bold"))
            left = left.pad_right(max(column, 14) - left.cell_length)
            content = left + line(" ", (item.about, "$thought"))
            content = content.truncate(self.size.width, ellipsis=True)
            if index == self._at:
                content = content.pad_right(self.size.width - content.cell_length).stylize(
                    "$block-cursor-foreground on $block-cursor-background"
                )
            rows.append(content)
        return stack(rows)


def _end(text: str, columns: int) -> str:
    """A text that is too wide loses its beginning: of a long path the name matters."""
    if cell_len(text) <= columns:
        return text
    while cell_len(text) >= columns:
        text = text[1:]
    return f"…{text}"
