"""Moving in the model browser: the cursor, the sections, the filter, the order."""

from __future__ import annotations

from textual.widgets import Input

from tui.model_rows import SORTS, USES
from tui.screens.models_base import Browser

FILTER = "name, family, use, licence, language, thinking, fits"
HUB = "words to search the hub for; Enter asks it"


class BrowserMoves(Browser):
    """Verbs that only change what is looked at."""

    def on_input_changed(self, event: Input.Changed) -> None:
        if not self.asking:
            self.draw()

    def on_input_submitted(self) -> None:
        words = self.filter.value.strip()
        self.table.focus()
        if self.asking:
            self.stop_asking()
            if words:
                self.search_hub(words)
        self.show_line()

    def search_hub(self, words: str) -> None:
        """Ask the hub for models."""
        raise NotImplementedError

    def on_descendant_focus(self) -> None:
        self.show_line()
        self.hints.show_moment(self.moment())

    def open_line(self, *, asking: bool) -> None:
        """Type into the line on top: words for the hub, or for the list."""
        if asking != self.asking:
            self.asking = asking
            self.filter.value = ""
        self.filter.placeholder = HUB if asking else FILTER
        self.show_line()
        self.filter.focus()
        self.draw()

    def stop_asking(self) -> None:
        """The line on top is the filter again."""
        self.asking = False
        self.filter.placeholder = FILTER
        self.filter.value = ""

    def show_line(self) -> None:
        """The line on top stays in sight while it holds something, or where there is room for it."""
        raise NotImplementedError

    def action_model_filter(self) -> None:
        self.open_line(asking=False)

    def action_model_hub(self) -> None:
        self.open_line(asking=True)

    def action_model_narrow(self) -> None:
        self.known.use = USES[(USES.index(self.known.use) + 1) % len(USES)]
        self.rank_anew()
        self.draw()

    def action_model_sort(self) -> None:
        self.known.sort = SORTS[(SORTS.index(self.known.sort) + 1) % len(SORTS)]
        self.known.turned = False
        self.draw()

    def action_model_turn(self) -> None:
        self.known.turned = not self.known.turned
        self.draw()

    def action_model_section(self) -> None:
        if self.focused is self.filter:
            self.table.focus()
        else:
            self.table.next_section()

    def action_model_section_back(self) -> None:
        self.table.next_section(-1)

    def action_model_up(self) -> None:
        self.table.move(-1)

    def action_model_down(self) -> None:
        self.table.move(1)

    def action_model_first(self) -> None:
        self.table.move(-len(self.table.items))

    def action_model_last(self) -> None:
        self.table.move(len(self.table.items))

    def action_model_page_up(self) -> None:
        self.table.move(-self.table.page)

    def action_model_page_down(self) -> None:
        self.table.move(self.table.page)

    def action_model_help(self) -> None:
        self.action_layer_help()
