"""Every key and command, from the table of actions; those of the pane one comes from first."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.actions import ACTIONS, Where, key_word
from tui.actions.keyed import keys_of
from tui.modals.dialog import Dialog
from tui.widgets.lines import line, stack

KEYS = 24
"""Columns for the keys."""
_PLACES = (
    Where.COMPOSER,
    Where.TRANSCRIPT,
    Where.SIDE,
    Where.LAYER,
    Where.TRAIN,
    Where.DATA,
    Where.MASK,
    Where.PAIRS,
    Where.RUNS,
    Where.MEMORY,
    Where.BROWSER,
    Where.COMPARE,
    Where.PARAMS,
)


class Help(Dialog[None]):
    """Scrolls; Escape, F1 or q closes it."""

    DEFAULT_CSS = """
    Help > .panel {
        width: 96;
        height: 90%;
        scrollbar-size-vertical: 1;
    }
    Help .page {
        height: auto;
    }
    """

    def __init__(self, place: Where, words: Callable[[int], list[Content]] | None = None) -> None:
        """`words`: what else this place has to explain, for a width."""
        super().__init__()
        self._place, self._words = place, words

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="panel") as panel:
            panel.border_title = "Help"
            panel.border_subtitle = "↑ ↓ PgDn · Esc"
            width = min(96, self.app.size.width * 94 // 100) - 7
            yield Static(help_page(self._place, width, self._words), classes="page", markup=False)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def action_cursor_up(self) -> None:
        self.query_one(VerticalScroll).scroll_up(animate=False)

    def action_cursor_down(self) -> None:
        self.query_one(VerticalScroll).scroll_down(animate=False)


def help_page(place: Where, width: int, words: Callable[[int], list[Content]] | None = None) -> Content:
    """All actions under headings: this place, then the workbench, then the other places."""
    order = [place, Where.CHAT, Where.APP, *(each for each in _PLACES if each is not place)]
    lines: list[Content] = []
    for where in dict.fromkeys(order):
        keyed = [action for action in ACTIONS if action.where is where and keys_of(action)]
        lines.append(line((where.value, "bold $accent")))
        for action in keyed:
            lines += _row("  ".join(key_word(key) for key in keys_of(action)), action.help, width)
        lines.append(line(""))
        if where is place and words is not None:
            lines += words(width)
    lines.append(line(("Commands, typed into the composer", "bold $accent")))
    for action in ACTIONS:
        if action.slash:
            lines += _row(f"/{action.slash} {action.takes}", action.help, width)
    return stack(lines)


def _row(keys: str, text: str, width: int) -> list[Content]:
    """The keys in their column, the help beside it, wrapped under itself."""
    column = min(KEYS, width // 3)
    wrapped = textwrap.wrap(text, max(10, width - column - 2)) or [""]
    if len(keys) > column:
        rows = [line((f"  {keys}", "$foreground"))]
    else:
        rows = [line((f"  {keys:<{column}}", "$foreground"), (wrapped.pop(0), "$thought"))]
    return rows + [line(" " * (column + 2), (each, "$thought")) for each in wrapped]
