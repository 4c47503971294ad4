"""A list with a filter: what is typed narrows it, Enter takes the row under the cursor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tui.modals.dialog import Dialog
from tui.widgets.lines import spread

PANEL = 72
"""Columns of a dialog's panel at most, its frame included."""
FRAME = 10
"""Columns that the frame, the paddings and the scrollbar take."""


@dataclass(frozen=True)
class Choice:
    """One row."""

    id: str
    left: Content
    right: Content
    words: str
    """What the filter looks in."""

    def label(self, width: int) -> Content:
        """Both halves on one line; a left half of several lines stands alone."""
        return self.left if "\n" in self.left.plain else spread(self.left, self.right, width)


class Picker(Dialog[str]):
    """Dismisses with the id of the choice."""

    WIDTH: ClassVar[int] = PANEL

    def __init__(self, title: str, choices: list[Choice], *, placeholder: str, empty: str) -> None:
        super().__init__()
        self._title = title
        self._choices = choices
        self._placeholder = placeholder
        self._empty = empty
        self.shown: list[Choice] = []
        """The rows that the filter has left."""

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_title = self._title
            panel.border_subtitle = "↑ ↓ Enter · Esc"
            yield Input(placeholder=self._placeholder)
            yield OptionList(markup=False)
            yield Static("", classes="quiet", markup=False)
            yield from self.below()

    def below(self) -> ComposeResult:
        """What stands under the list."""
        yield from ()

    def on_mount(self) -> None:
        self.query_one(OptionList).can_focus = False
        self.show(self._choices)
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        wanted = event.value.lower().split()
        self.show([each for each in self._choices if all(word in each.words.lower() for word in wanted)])

    def show(self, choices: list[Choice]) -> None:
        """Put these rows into the list."""
        options = self.query_one(OptionList)
        options.clear_options()
        width = min(self.WIDTH, self.app.size.width * 94 // 100) - FRAME
        options.add_options([Option(each.label(width), id=str(index)) for index, each in enumerate(choices)])
        self.shown = choices
        if choices:
            options.highlighted = 0
        self.query_one(Static).update("" if choices else self._empty)

    def action_cursor_up(self) -> None:
        self.query_one(OptionList).action_cursor_up()

    def action_cursor_down(self) -> None:
        self.query_one(OptionList).action_cursor_down()

    def on_input_submitted(self) -> None:
        self.action_accept()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self.shown[event.option_index].id)

    def action_accept(self) -> None:
        at = self.query_one(OptionList).highlighted
        if at is not None and at < len(self.shown):
            self.dismiss(self.shown[at].id)
