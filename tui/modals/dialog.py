"""The frame of all dialogs: a panel over the dimmed screen, with the dialog keys of the action table."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from textual.binding import BindingType
from textual.screen import ModalScreen

from tui.actions import Where
from tui.bindings import bindings

T = TypeVar("T")


class Dialog(ModalScreen[T | None], Generic[T]):
    """Escape leaves with None."""

    DEFAULT_CSS = """
    Dialog {
        align: center middle;
        background: $background 60%;
    }
    Dialog > .panel {
        width: 72;
        max-width: 94%;
        height: auto;
        max-height: 90%;
        padding: 1 2;
        background: $surface;
        border: solid $rule;
        border-title-color: $accent;
        border-subtitle-color: $thought;
        border-title-background: $surface;
        border-subtitle-background: $surface;
    }
    Dialog .quiet {
        color: $thought;
        height: auto;
    }
    Dialog .grave {
        color: $warning;
        height: auto;
    }
    Dialog .words {
        height: auto;
    }
    Dialog Input {
        border: none;
        border-bottom: solid $rule;
        padding: 0;
        height: 2;
        background: $surface;
        background-tint: $foreground 0%;
    }
    Dialog Input:focus {
        border: none;
        border-bottom: solid $accent 60%;
        background-tint: $foreground 0%;
    }
    Dialog OptionList {
        height: auto;
        max-height: 14;
        border: none;
        padding: 0;
        background: $surface;
        scrollbar-size-vertical: 1;
    }
    Dialog OptionList:focus {
        border: none;
    }
    Dialog OptionList > .option-list--option-highlighted {
        color: $block-cursor-foreground;
        background: $block-cursor-background;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.DIALOG)

    def here(self) -> str:
        """` · here:` behind the title where the engine is elsewhere: the path is one of this side."""
        from tui.app import QwillApp  # the app has the dialogs, not the other way round

        away = isinstance(self.app, QwillApp) and self.app.workbench.state.engine.host
        return " · here:" if away else ""

    def action_close(self) -> None:
        self.dismiss(None)

    def action_accept(self) -> None:
        self.dismiss(None)

    def action_cursor_up(self) -> None:
        """For dialogs with a list."""

    def action_cursor_down(self) -> None:
        """For dialogs with a list."""

    def action_answer_newline(self) -> None:
        """For dialogs with a field of several lines."""
