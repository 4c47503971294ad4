"""A code block: its number and language above it, colours that cost little while it grows, keys sideways."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from markdown_it.token import Token
from textual.app import ComposeResult
from textual.containers import HorizontalScroll
from textual.content import Content
from textual.widgets import Label, Markdown, Static
from textual.widgets.markdown import MarkdownBlock, MarkdownFence

from tui.widgets.lines import line, name

if TYPE_CHECKING:
    from tui.widgets.answer import Answer

OPEN_GAP = 0.5
"""Seconds between two colourings of a block that still grows."""
KEPT = 24
"""Coloured blocks that a reply remembers, so that drawing it anew colours nothing again."""
SIDEWAYS = 12
"""Columns of one step."""


class Colours:
    """The coloured code of one reply. A block that grows shows its new end plain until its turn comes."""

    def __init__(self) -> None:
        self._done: dict[tuple[str, str, object], Content] = {}
        self._next = 0.0
        self.count = 0
        """How often code was coloured."""

    def of(self, code: str, lexer: str, look: tuple[bool, bool], *, still_open: bool) -> Content:
        """The code in colour; `look` is (the terminal's own colours, dark)."""
        key = (code, lexer, look)
        if key in self._done:
            return self._done[key]
        if still_open and time.monotonic() < self._next:
            return self._with_plain_end(code, lexer, look)
        started = time.monotonic()
        coloured = MarkdownFence.highlight(code, lexer, ansi=look[0], dark=look[1])
        self.count += 1
        if still_open:
            cost = time.monotonic() - started
            self._next = started + max(OPEN_GAP, 10 * cost)
        self._keep(key, coloured)
        return coloured

    def _with_plain_end(self, code: str, lexer: str, look: object) -> Content:
        for (known, known_lexer, known_look), content in reversed(self._done.items()):
            if known and known_lexer == lexer and known_look == look and code.startswith(known):
                return content + Content(code[len(known) :]).stylize("$text")
        return Content(code).stylize("$text")

    def _keep(self, key: tuple[str, str, object], coloured: Content) -> None:
        code, lexer, look = key
        for each in list(self._done):
            if each[0] and each[1:] == (lexer, look) and code.startswith(each[0]):
                del self._done[each]  # the same block when it was shorter
        self._done[key] = coloured
        while len(self._done) > KEPT:
            del self._done[next(iter(self._done))]


class Fence(MarkdownFence):
    """Textual's fence, but coloured by `Colours` when it is mounted, and not each time it is parsed."""

    DEFAULT_CSS = """
    Fence {
        margin: 0 0 1 0;
        padding: 0 1;
        background: $surface;
        border-left: outer $rule;
        overflow: hidden;
        height: auto;
        layout: vertical;
    }
    Fence > .head {
        height: 1;
        color: $thought;
    }
    Fence > HorizontalScroll {
        height: auto;
        scrollbar-size-horizontal: 0;
        scrollbar-size-vertical: 0;
        overflow: scroll hidden;
    }
    Fence > HorizontalScroll > Label {
        padding: 0;
        width: auto;
        height: auto;
    }
    """

    def __init__(self, markdown: Markdown, token: Token, code: str) -> None:
        super().__init__(markdown, token, code)
        self.closed = _is_closed(token)
        self.number = 0
        self._wide = False

    @classmethod
    def highlight(cls, code: str, language: str, ansi: bool = False, dark: bool = False) -> Content:
        """Plain: a parsed block may never be shown. `compose` and the blocks that follow ask for colours."""
        return Content(code)

    def compose(self) -> ComposeResult:
        self._highlighted_code = self._coloured()
        yield Static(self._head(), classes="head", markup=False)
        with HorizontalScroll(can_focus=False):
            yield Label(self._highlighted_code, id="code-content", markup=False)

    def notify_style_update(self) -> None:
        super().notify_style_update()  # shows it plain
        self.colour()

    async def _update_from_block(self, block: MarkdownBlock) -> None:
        if not isinstance(block, Fence):
            await super()._update_from_block(block)
            return
        plain, block._highlighted_code = block._highlighted_code, self._highlighted_code
        self._copy_context(block)
        block._highlighted_code = plain
        self.closed = block.closed
        self.colour()
        self._show_head()

    def colour(self) -> None:
        """Show the code as it is now."""
        if not self.is_mounted:
            return
        coloured = self._coloured()
        if not coloured.is_same(self._highlighted_code):
            self._highlighted_code = coloured
            self.set_content(coloured)

    def show_number(self, number: int) -> None:
        """Its place among the code blocks of the message, from 1."""
        if number != self.number:
            self.number = number
            self._show_head()

    def move(self, by: int) -> bool:
        """Scroll sideways by so many steps; False where the code is not wider than its box."""
        box = self.query_one(HorizontalScroll)
        if box.max_scroll_x <= 0:
            return False
        box.scroll_to(x=box.scroll_x + by * SIDEWAYS, animate=False, force=True)
        return True

    def on_resize(self) -> None:
        self.call_after_refresh(self._measure)

    def _measure(self) -> None:
        """Whether the code is wider than its box, which its head then says."""
        wide = any(box.max_scroll_x > 0 for box in self.query(HorizontalScroll))
        if wide != self._wide:
            self._wide = wide
            self._show_head()

    def _coloured(self) -> Content:
        answer = cast("Answer", self._markdown)
        look = (self.app.native_ansi_color, self.app.current_theme.dark)
        still_open = answer.streaming and not self.closed
        return answer.colours.of(self.code, self.lexer, look, still_open=still_open)

    def _show_head(self) -> None:
        for head in self.query(".head").results(Static):
            head.update(self._head())

    def _head(self) -> Content:
        language = name(self.lexer.split(" ")[0])[:24]
        keys = " · wider: < and > move it" if self._wide else ""
        return line((f"{self.number or ''} ", "$accent"), ((language or "code") + keys, "$thought"))


def _is_closed(token: Token) -> bool:
    """Whether the block's closing mark has come; an indented block has none to wait for."""
    if not token.markup or token.map is None:
        return True
    lines = token.content.count("\n") + (not token.content.endswith("\n") and bool(token.content))
    return token.map[1] - token.map[0] >= 2 + lines
