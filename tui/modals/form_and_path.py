"""The frame of the export dialogs: a list of forms, and the path that is written to."""

from __future__ import annotations

from typing import Generic, TypeVar

from textual.widgets import Input, OptionList

from tui.modals.dialog import Dialog

T = TypeVar("T")


class FormAndPath(Dialog[T], Generic[T]):
    """The path goes with the form until a person types another one. Subclasses compose the two."""

    _offered = ""

    def offer(self) -> str:
        """The path for the form under the cursor."""
        raise NotImplementedError

    def on_mount(self) -> None:
        panel = self.query_one(".panel")
        panel.border_title = f"{panel.border_title}{self.here()}"
        options = self.query_one(OptionList)
        options.can_focus = False
        options.highlighted = 0
        self.query_one(Input).focus()

    @property
    def at(self) -> int:
        """Place of the form under the cursor."""
        return self.query_one(OptionList).highlighted or 0

    def on_option_list_option_highlighted(self) -> None:
        field = self.query_one(Input)
        if field.value == self._offered:
            field.value = self._offered = self.offer()
            field.cursor_position = len(field.value)

    def action_cursor_up(self) -> None:
        self.query_one(OptionList).action_cursor_up()

    def action_cursor_down(self) -> None:
        self.query_one(OptionList).action_cursor_down()

    def on_option_list_option_selected(self) -> None:
        self.action_accept()

    def on_input_submitted(self) -> None:
        self.action_accept()
