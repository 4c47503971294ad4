"""Search over all chats: messages and thoughts; Enter opens the chat."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from textual.widgets import Input, Static

from engine.api import EngineError, EngineLost, commands
from tui.format import shorten
from tui.modals.picker import Choice, Picker
from tui.widgets.lines import line, name

Ask = Callable[[commands.Command], Awaitable[commands.HitList]]


class Search(Picker):
    """Like the picker, but the engine does the looking; dismisses with the chat's id."""

    def __init__(self, ask: Ask, words: str = "") -> None:
        super().__init__("Search chats", [], placeholder="Words in messages and thoughts", empty="")
        self._ask = ask
        self._words = words

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(Input).value = self._words

    def on_input_changed(self, event: Input.Changed) -> None:
        event.prevent_default()  # the picker would filter its empty list
        self.run_worker(self._look(event.value.strip()), exclusive=True)

    async def _look(self, words: str) -> None:
        if not words:
            self.show([])
            return
        try:
            found = await self._ask(commands.SearchChats(query=words))
        except (EngineError, EngineLost) as error:
            self.show([])
            self.query_one(Static).update(error.info.sentence())
            return
        self.show([_choice(hit) for hit in found.hits])
        if not found.hits:
            self.query_one(Static).update("Nothing found.")


def _choice(hit: commands.Hit) -> Choice:
    where = " · in a thought" if hit.part == "thinking" else ""
    label = line((shorten(name(hit.title), 50), "bold"), where, "\n  ", shorten(name(hit.excerpt), 62))
    return Choice(hit.chat, label, line(""), "")
