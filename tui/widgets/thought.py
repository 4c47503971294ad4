"""A reply's thinking: streams behind a thin bar, folds to one line when the answer starts."""

from __future__ import annotations

import time
from typing import Literal

from textual import events
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.visual import Visual
from textual.widget import Widget

from tui.format import plural, roughly, seconds, shorten
from tui.glyphs import bar
from tui.state import Turn
from tui.text import clean, clean_name
from tui.widgets.lines import Piece, line, spread, stack

PEEK = 8
"""Lines shown of a thought that streams and that nobody has opened, or that one peeks into."""

Fold = Literal["folded", "peek", "open"]
"""What a reader decided about one thought: its header alone, its last lines too, or all of it."""


class Thought(Widget):
    """One block. `choice` is what the reader decided; None: its last lines while it streams, then none."""

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

    def __init__(self, turn: Turn, choice: Fold | None) -> None:
        super().__init__()
        self._turn = turn
        self._choice = choice
        self._cache: tuple[object, list[Content]] = (None, [])
        self._laid_out = self._height_key()
        self._wrapped: tuple[int, int, list[Content]] = (0, 0, [])
        """Width, characters, and lines of the part of an open thought that will not change any more."""

    @property
    def is_open(self) -> bool:
        """Whether the whole thought is shown."""
        return self._choice == "open"

    @property
    def peeking(self) -> bool:
        """Whether it shows its newest lines: on its own account until an answer starts, or as it was told."""
        turn = self._turn
        if self._choice == "peek":
            return True
        if turn.role == "tool":
            return False
        return self._choice is None and (turn.state == "thinking" or not (turn.live or turn.text.strip()))

    def sync(self, turn: Turn, choice: Fold | None) -> None:
        """Take the newest text, state and choice."""
        self._turn, self._choice = turn, choice
        before, self._laid_out = self._laid_out, self._height_key()  # the turn itself changes in place
        self.refresh(layout=self._laid_out != before)

    def tick(self) -> None:
        """Only the clock in the header goes on; the text waits for its turn."""
        if self.size.width:
            self.refresh(Region(0, 0, self.size.width, 1))

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

    def render_line(self, y: int) -> Strip:
        """One line: a long thought that grows paints what is on the screen, not the whole of itself."""
        width = self.size.width
        body = self._body(width)
        content = self._header(width) if y == 0 else body[y - 1] if y <= len(body) else Content("")
        return Visual.to_strips(self, content, width, 1, self.visual_style)[0]

    def _height_key(self) -> tuple[bool, bool, int]:
        return self.is_open, self.peeking, len(self._turn.thinking)

    def _header(self, width: int) -> Content:
        turn, stats = self._turn, self._turn.stats
        count = stats.thinking_tokens if stats else 0
        duration = stats.thinking_s if stats else 0.0
        about = roughly(stats is not None and stats.estimated)
        arrow = "▾ " if self.is_open or self.peeking else "▸ "
        if turn.state != "thinking":
            numbers = [seconds(duration)] if duration else []
            numbers += [about + plural(count, "token")] if count else []
            words = f"{arrow}thought {' · '.join(numbers)}".rstrip()
            if turn.role == "tool":
                words = f"{arrow}{shorten(clean_name(turn.thinking[:400]), width)}"
            if self.peeking:
                words += " · its last lines"
            return line((words, "$thought")).truncate(width, ellipsis=True)
        if turn.since:
            duration += max(0.0, time.monotonic() - turn.since)
        left: list[Piece] = [(f"{arrow}thinking {seconds(duration)}", "$accent")]
        budget = turn.settings.think_budget if turn.settings else None
        if budget:
            left += [
                (f" · {about}{count:,} / {budget:,} tokens ", "$thought"),
                (bar(count / budget, 7), "$accent"),
            ]
        elif count:
            left.append((f" · {about}{plural(count, 'token')}", "$thought"))
        return spread(line(*left), line(("F6", "$foreground"), (" answer now", "$thought")), width)

    def _body(self, width: int) -> list[Content]:
        if not (self.is_open or self.peeking) or width < 4:
            return []
        key = (width, *self._height_key())
        if self._cache[0] != key:
            self._cache = (key, self._wrap(width))
        return self._cache[1]

    def _wrap(self, width: int) -> list[Content]:
        room = width - 2
        bar_piece = line(("┊ ", "$rule"))
        if self.is_open:
            return self._wrap_all(width, room, bar_piece)
        text = clean(self._turn.thinking).strip("\n")[-room * PEEK * 2 :]
        lines = Content(text).wrap(room)[-PEEK:] if text else []
        return [bar_piece + each.stylize("$thought") for each in lines]

    def _wrap_all(self, width: int, room: int, bar_piece: Content) -> list[Content]:
        """The whole thought; lines that ended are wrapped once."""
        text = clean(self._turn.thinking).strip("\n")
        known, upto, lines = self._wrapped
        if known != width or upto > len(text):
            upto, lines = 0, []
        ended = text.rfind("\n", upto) + 1
        if ended > upto:
            more = Content(text[upto : ended - 1]).wrap(room)
            lines = [*lines, *(bar_piece + each.stylize("$thought") for each in more)]
            upto = ended
        self._wrapped = (width, upto, lines)
        tail = Content(text[upto:]).wrap(room) if text[upto:] else []
        return [*lines, *(bar_piece + each.stylize("$thought") for each in tail)]
