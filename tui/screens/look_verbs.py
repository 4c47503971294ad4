"""What one can do with the looks: read the themes, choose one, have it remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import App

from engine.api import EngineError
from tui.remembered import keep, recall
from tui.screens.base import Desk
from tui.themes import DEFAULT, all_themes
from tui.widgets.lines import name

if TYPE_CHECKING:
    from tui.theme_files import ThemeFault, ThemeFile


class LookVerbs(Desk):
    """Verbs on themes."""

    _themes: list[ThemeFile]

    def wake_themes(self) -> None:
        """After the first paint: read them all, and paint the remembered one if its file has another name."""
        before = self.app.theme
        self.read_themes()
        wanted = recall("theme")
        if before == DEFAULT and wanted in self._names():
            self.app.theme = wanted

    def read_themes(self) -> None:
        """Register every theme, and tell of each file that is none; before each listing, for files change."""
        self._themes, faults = all_themes()
        for theme in self._themes:
            self._register(theme)
        if faults:
            self.say(_fault_words(faults), grave=True, for_seconds=12)

    def action_theme(self, argument: str = "") -> None:
        self.read_themes()
        if argument in self._names():
            self._take_theme(argument)
            return
        if argument:
            self.say(f"No theme is called {name(argument)}.", grave=True)
        from tui.modals.themes import ThemePicker

        self.app.push_screen(ThemePicker(self._themes, self.app.theme), self._take_theme)

    def _register(self, file: ThemeFile) -> None:
        """Take it over; the theme that is painted now only where its file was changed."""
        theme = file.to_textual()
        painted = file.name == self.app.theme
        if painted and theme.to_color_system().generate() | theme.variables == self.app.theme_variables:
            return
        self.app.register_theme(theme)
        if painted:
            self.app.mutate_reactive(App.theme)

    def _take_theme(self, chosen: str | None) -> None:
        if not chosen:
            return
        self.app.theme = chosen
        if recall("theme") == chosen:
            return
        try:
            keep("theme", chosen)
        except EngineError as error:
            self.say(error.info.sentence(), grave=True)

    def _names(self) -> list[str]:
        return [theme.name for theme in self._themes]


def _fault_words(faults: list[ThemeFault]) -> str:
    """The first fault in full, and how many more there are."""
    more = f" And {len(faults) - 1} more." if len(faults) > 1 else ""
    return f"A theme was skipped. {name(faults[0].sentence)}{more}"
