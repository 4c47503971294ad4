"""The theme picker: the screen behind it is painted in the theme under the cursor."""

from __future__ import annotations

from textual.timer import Timer
from textual.widgets import OptionList

from tui.modals.picker import Choice, Picker
from tui.theme_files import ThemeFile
from tui.widgets.lines import line

PATIENCE = 0.08
"""Seconds that the cursor rests on a theme before the screen is painted in it."""


class ThemePicker(Picker):
    """Dismisses with a theme's name; Escape brings the theme back that was there before."""

    DEFAULT_CSS = """
    ThemePicker {
        align: right middle;
        background: transparent;
    }
    ThemePicker > .panel {
        width: 40;
        margin: 0 2 0 0;
    }
    """
    WIDTH = 40

    def __init__(self, themes: list[ThemeFile], present: str) -> None:
        self._before = present
        self._resting: Timer | None = None
        ordered = sorted(themes, key=lambda theme: theme.name != present)
        choices = [_choice(theme, present) for theme in ordered]
        super().__init__("Theme", choices, placeholder="Type to filter", empty="No theme matches.")

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        wanted = self.shown[event.option_index].id
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(PATIENCE, lambda: self._paint(wanted))

    def action_close(self) -> None:
        self._paint(self._before)
        self.dismiss(None)

    def _paint(self, theme: str) -> None:
        if self._resting is not None:
            self._resting.stop()
        if self.app.theme != theme:
            self.app.theme = theme


def _choice(theme: ThemeFile, present: str) -> Choice:
    mark = "▸" if theme.name == present else " "
    kind = "terminal" if theme.ansi else "dark" if theme.dark else "light"
    left = line((f"{mark} ", "$accent"), theme.name)
    return Choice(theme.name, left, line((kind, "$thought")), f"{theme.name} {kind}")
