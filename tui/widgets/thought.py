"""A reply's thinking: streams behind a thin bar, folds to one line when the answer starts."""

from __future__ import annotations

import time

from textual import events
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from tui.format import plural, seconds
from tui.glyphs import bar
from tui.state import Turn
from tui.text import clean
from tui.widgets.lines import Piece, line, spread, stack

PEEK = 8
"""Lines shown of a thought that streams and that nobody has opened."""


class Thought(Widget):
    """One block. `choice` is what the reader decided (True open, False folded), None lets it decide."""

    DEFAULT_CSS = """
    Thought {
        height: auto;
    }
    """

    class Toggled(Message):
        """The reader clicked on the header."""

        def __init__(self, turn: str) -> None:
            super().__init__()
            self.turn = turn

    def __init__(self, turn: Turn, choice: bool | None) -> None:
        super().__init__()
        self._turn = turn
        self._choice = choice
        self._cache: tuple[object, list[Content]] = (None, [])
        self._laid_out = self._height_key()

    @property
    def is_open(self) -> bool:
        """Whether the whole thought is shown."""
        return self._choice is True

    @property
    def peeking(self) -> bool:
        """Whether it shows its newest lines on its own account: until an answer starts."""
        turn = self._turn
        return self._choice is None and (turn.state == "thinking" or not (turn.live or turn.text.strip()))

    def sync(self, turn: Turn, choice: bool | None) -> None:
        """Take the newest text, state and choice."""
        self._turn, self._choice = turn, choice
        before, self._laid_out = self._laid_out, self._height_key()  # the turn itself changes in place
        self.refresh(layout=self._laid_out != before)

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            event.stop()
            self.post_message(self.Toggled(self._turn.id))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """The header and the lines under it, at this width."""
        return 1 + len(self._body(width))

    def render(self) -> Content:
        """The header, then the thought behind its bar."""
        width = self.size.width
        return stack([self._header(width), *self._body(width)])

    def _height_key(self) -> tuple[bool, bool, int]:
        return self.is_open, self.peeking, len(self._turn.thinking)

    def _header(self, width: int) -> Content:
        turn, stats = self._turn, self._turn.stats
        count = stats.thinking_tokens if stats else 0
        duration = stats.thinking_s if stats else 0.0
        arrow = "▾ " if self.is_open or self.peeking else "▸ "
        if turn.state != "thinking":
            numbers = f" {seconds(duration)} · {plural(count, 'token')}" if count else ""
            words = f"{arrow}thought{numbers}"
            return line((words, "$thought")).truncate(width, ellipsis=True)
        if turn.since:
            duration += max(0.0, time.monotonic() - turn.since)
        left: list[Piece] = [(f"{arrow}thinking {seconds(duration)}", "$accent")]
        budget = turn.settings.think_budget if turn.settings else None
        if budget:
            left += [(f" · {count:,} / {budget:,} tokens ", "$thought"), (bar(count / budget, 7), "$accent")]
        elif count:
            left.append((f" · {plural(count, 'token')}", "$thought"))
        return spread(line(*left), line(("F6", "$foreground"), (" answer now", "$thought")), width)

    def _body(self, width: int) -> list[Content]:
        if not (self.is_open or self.peeking) or width < 4:
            return []
        key = (width, *self._height_key())
        if self._cache[0] != key:
            self._cache = (key, self._wrap(width))
        return self._cache[1]

    def _wrap(self, width: int) -> list[Content]:
        text = clean(self._turn.thinking).strip("\n")
        room = width - 2
        if not self.is_open:
            text = text[-room * PEEK * 2 :]
        lines = Content(text).wrap(room) if text else []
        if not self.is_open:
            lines = lines[-PEEK:]
        bar_piece = line(("┊ ", "$rule"))
        return [bar_piece + each.stylize("$thought") for each in lines]
