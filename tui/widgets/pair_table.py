"""Questions and answers as a table with one cursor."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message

from tui.pair_book import PairBook
from tui.widgets.lines import line, name
from tui.widgets.painted import Painted

NUMBER = 6
"""Columns of a pair's number."""


class PairTable(Painted, can_focus=True):
    """Number, question, answer; a pair that lacks one of them says so."""

    DEFAULT_CSS = """
    PairTable {
        height: 1fr;
        min-height: 3;
    }
    """

    class Moved(Message):
        """The cursor was put on another pair by the mouse."""

        def __init__(self, at: int) -> None:
            super().__init__()
            self.at = at

    def __init__(self, book: PairBook) -> None:
        super().__init__()
        self.book = book
        self._first = 0

    def lines(self, width: int, height: int) -> list[Content]:
        """The pairs around the cursor."""
        at = self.book.at
        self._first = min(max(0, at - height + 1, min(self._first, at)), at)
        rows = []
        for place in range(self._first, min(len(self.book.pairs), self._first + height)):
            row = self._row(place, width)
            if place == at:
                row = row.pad_right(max(0, width - row.cell_length)).stylize(
                    "$block-cursor-foreground on $block-cursor-background"
                )
            rows.append(row)
        return rows

    def on_click(self, event: events.Click) -> None:
        at = self._first + event.y
        if at < len(self.book.pairs):
            self.post_message(self.Moved(at))

    def _row(self, place: int, width: int) -> Content:
        pair = self.book.pairs[place]
        asked = max(8, (width - NUMBER) * 2 // 5)
        return line(
            (f"{place + 1:>{NUMBER - 2}}  ", "$thought"),
            _cell(pair.question, "no question yet", asked),
            _cell(pair.answer, "no answer yet", max(1, width - NUMBER - asked)),
        ).truncate(width)


def _cell(text: str, missing: str, wide: int) -> Content:
    first = next((each for each in text[:300].split("\n") if each.strip()), "")
    content = line(name(first)) if first else line((missing, "$warning"))
    if content.cell_length > wide - 1:
        content = content.truncate(max(1, wide - 1), ellipsis=True)
    return content.pad_right(max(0, wide - content.cell_length))
