"""One thought on the whole screen: scroll, search, copy. It goes on growing while the model thinks."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual
from textual.widgets import Input

from tui.actions import Where
from tui.bindings import bindings
from tui.format import plural
from tui.text import clean

LOOK = 0.25
"""Seconds between two looks at a thought that grows."""


class ThoughtText(ScrollView, can_focus=True):
    """Wrapped lines; only those on the screen are painted."""

    DEFAULT_CSS = """
    ThoughtText {
        height: 1fr;
        color: $foreground;
        background: $background;
        scrollbar-size-vertical: 1;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self._lines: list[str] = []
        self._plain: list[str] = []
        """The lines, case folded."""
        self._wanted = ""
        self.found: list[int] = []
        """The lines that hold what is looked for."""
        self.at = -1
        """Which of them the reader is at."""

    def show(self, text: str) -> None:
        """This text, and at its end if the reader was there."""
        if text == self.text and self._lines:
            return
        at_end = self.scroll_y >= self.max_scroll_y
        grown = bool(self.text)
        self.text = text
        self._wrap()
        if grown and at_end:
            self.scroll_end(animate=False)

    def look_for(self, words: str) -> int:
        """Mark these words, whatever their case; the number of lines that hold them."""
        self._wanted, self.at = words.casefold(), -1
        self._find()
        self.refresh()
        return len(self.found)

    def go(self, by: int) -> None:
        """To the next place, or the one before; after the last comes the first."""
        if not self.found:
            return
        if self.at < 0:
            top = round(self.scroll_y)
            below = [index for index, row in enumerate(self.found) if row >= top]
            self.at = (below[0] if below else 0) if by > 0 else (below[0] if below else 0) - 1
            self.at %= len(self.found)
        else:
            self.at = (self.at + by) % len(self.found)
        self.scroll_to(y=max(0, self.found[self.at] - self.size.height // 3), animate=False)
        self.refresh()

    def on_resize(self) -> None:
        self._wrap()

    def render_line(self, y: int) -> Strip:
        """One line, with what is looked for marked."""
        row = round(self.scroll_y) + y
        width = self.size.width
        content = Content(self._lines[row] if row < len(self._lines) else "")
        if self._wanted and row < len(self._lines):
            here = bool(self.found) and self.at >= 0 and self.found[self.at] == row
            style = "$background on $accent" if here else "reverse"
            start = self._plain[row].find(self._wanted)
            while start >= 0 and len(self._plain[row]) == len(self._lines[row]):
                content = content.stylize(style, start, start + len(self._wanted))
                start = self._plain[row].find(self._wanted, start + len(self._wanted))
        return Visual.to_strips(self, content, width, 1, self.visual_style)[0]

    def _wrap(self) -> None:
        width = self.size.width - 1
        if width < 4:
            return
        self._lines = [each.plain for each in Content(self.text).wrap(width)]
        self._plain = [each.casefold() for each in self._lines]
        self.virtual_size = Size(width, len(self._lines))
        self._find()
        self.refresh()

    def _find(self) -> None:
        wanted = self._wanted
        self.found = []
        for row, words in enumerate(self._plain if wanted else []):
            after = self._plain[row + 1] if row + 1 < len(self._plain) else ""
            if wanted in words or (wanted in f"{words.rstrip()} {after}" and wanted not in after):
                self.found.append(row)


class ThoughtScreen(ModalScreen[None]):
    """`read` tells the thought as it is now; `copy` takes it to the clipboard and says so."""

    DEFAULT_CSS = """
    ThoughtScreen {
        background: $background;
    }
    ThoughtScreen > .page {
        padding: 0 2;
        border-top: solid $rule;
        border-bottom: solid $rule;
        border-title-color: $accent;
        border-subtitle-color: $thought;
    }
    ThoughtScreen Input {
        display: none;
        height: 1;
        border: none;
        padding: 0;
        background: $surface;
    }
    ThoughtScreen Input.-open {
        display: block;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.THOUGHT)
    KEYS = "y copy · / search · n N next, before · Esc back"

    def __init__(self, title: str, read: Callable[[], str], copy: Callable[[str], str]) -> None:
        super().__init__()
        self._title, self._read, self._copy = title, read, copy
        self.words = ThoughtText()
        self.search = Input(placeholder="Words to look for")
        self.page = Vertical(self.words, self.search, classes="page")

    def compose(self) -> ComposeResult:
        self.page.border_title = self._title
        self.page.border_subtitle = self.KEYS
        yield self.page

    def on_mount(self) -> None:
        self._look()
        self.words.focus()
        self.set_interval(LOOK, self._look)

    def _look(self) -> None:
        self.words.show(clean(self._read()).strip("\n"))

    def _tell(self, words: str) -> None:
        self.page.border_subtitle = f"{words} · {self.KEYS}"

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._leave_search()
        wanted = event.value.strip()
        count = self.words.look_for(wanted)
        if wanted:
            self._go(1)
        if not count:
            self._tell(f"“{clean(wanted)[:30]}” is not in it" if wanted else "nothing is looked for")

    def _go(self, by: int) -> None:
        self.words.go(by)
        if self.words.found:
            self._tell(f"{self.words.at + 1} of {plural(len(self.words.found), 'line')}")

    def _leave_search(self) -> None:
        self.search.remove_class("-open")
        self.words.focus()

    # --- keys -------------------------------------------------------------------------------

    def action_thought_search(self) -> None:
        self.search.add_class("-open")
        self.search.value = ""
        self.search.focus()

    def action_thought_next(self) -> None:
        self._go(1)

    def action_thought_before(self) -> None:
        self._go(-1)

    def action_thought_copy(self) -> None:
        self._tell(self._copy(self.words.text))

    def action_thought_top(self) -> None:
        self.words.scroll_home(animate=False)

    def action_thought_end(self) -> None:
        self.words.scroll_end(animate=False)

    def action_thought_down(self) -> None:
        self.words.scroll_down(animate=False)

    def action_thought_up(self) -> None:
        self.words.scroll_up(animate=False)

    def action_thought_page_down(self) -> None:
        self.words.scroll_page_down(animate=False)

    def action_thought_page_up(self) -> None:
        self.words.scroll_page_up(animate=False)

    def action_thought_close(self) -> None:
        if self.search.has_class("-open"):
            self._leave_search()
        else:
            self.dismiss(None)
