"""Everything that a reply was made with, and asking again with just that."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.modals.dialog import Dialog
from tui.reply_facts import again, facts
from tui.state import EngineState, Turn
from tui.widgets.lines import line, name, stack

LABEL = 20
"""Columns of the names."""


class AboutReply(Dialog[bool]):
    """True: ask again with exactly these settings."""

    def __init__(self, turn: Turn, engine: EngineState) -> None:
        super().__init__()
        self._facts = facts(turn, engine)
        self._known = again(turn) is not None

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="panel") as panel:
            panel.border_title = "About this reply"
            enter = "Enter asks again with just these · " if self._known else ""
            panel.border_subtitle = f"{enter}↑ ↓ · Esc"
            yield Static(stack([_line(*fact) for fact in self._facts]), classes="words", markup=False)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def action_accept(self) -> None:
        self.dismiss(True if self._known else None)

    def action_cursor_up(self) -> None:
        self.query_one(VerticalScroll).scroll_up(animate=False)

    def action_cursor_down(self) -> None:
        self.query_one(VerticalScroll).scroll_down(animate=False)


def _line(label: str, value: str) -> Content:
    return line((f"{label:<{LABEL}}", "$thought"), name(value))
