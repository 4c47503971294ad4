"""Search over all chats: titles, tags, messages and thoughts; Enter opens the place."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

from rich.cells import cell_len
from textual.content import Content
from textual.widgets import Input, Static

from engine.api import EngineError, EngineLost, commands
from tui.format import clock, shorten
from tui.modals.picker import FRAME, Choice, Picker
from tui.text import clean_name
from tui.widgets.lines import line, name, spread

Ask = Callable[[commands.Command], Awaitable[commands.HitList]]
PAUSE = 0.08
"""Seconds without a key after which the engine is asked."""


class Search(Picker):
    """Like the picker, but the engine does the looking; dismisses with a key of `hits`."""

    DEFAULT_CSS = """
    Search > .panel {
        width: 100;
    }
    Search OptionList {
        max-height: 24;
    }
    """
    WIDTH: ClassVar[int] = 100

    def __init__(self, ask: Ask, words: str = "") -> None:
        super().__init__(
            "Search chats", [], placeholder="Words in titles, tags, messages and thoughts", empty=""
        )
        self._ask = ask
        self._words = words
        self.hits: dict[str, commands.Hit] = {}
        """What was found, by the id of its row."""

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(Input).value = self._words

    def on_input_changed(self, event: Input.Changed) -> None:
        event.prevent_default()  # the picker would filter its empty list
        self.run_worker(self._look(event.value.strip()), exclusive=True)

    async def _look(self, words: str) -> None:
        if not words:
            self._show([], "")
            return
        await asyncio.sleep(PAUSE)
        try:
            found = await self._ask(commands.SearchChats(query=words))
        except (EngineError, EngineLost) as error:
            self._show([], error.info.sentence())
            return
        self._show(list(found.hits), "Nothing found.")

    def _show(self, hits: list[commands.Hit], otherwise: str) -> None:
        self.hits = {str(number): hit for number, hit in enumerate(hits)}
        width = min(self.WIDTH, self.app.size.width * 94 // 100) - FRAME
        self.show([_choice(row, hit, width) for row, hit in self.hits.items()])
        self.query_one(Static).update("" if hits else name(otherwise))


def _choice(row: str, hit: commands.Hit, width: int) -> Choice:
    """The chat with what it is tagged, and where in it; below it the words around the hit."""
    marks = [f"#{name(tag)}" for tag in hit.tags] + (["archived"] if hit.archived else [])
    where = {"title": "chat", "thinking": "thought"}.get(hit.part, _SPEAKERS.get(hit.role, "reply"))
    right = line(
        (f"{' '.join(marks)}  " if marks else "", "$accent"), (f"{where}  {clock(hit.created)}", "$thought")
    )
    title = line((shorten(name(hit.title) or "chat without a title", 60), "bold"))
    if hit.part == "title":
        return Choice(row, title, right, "")
    return Choice(row, line(spread(title, right, width), "\n  ", around(hit, width - 2)), line(""), "")


_SPEAKERS = {"user": "you", "system": "system", "tool": "tool"}


def around(hit: commands.Hit, width: int) -> Content:
    """So much of the excerpt as fits, with the hit in its middle and marked."""
    before, found, after = (
        clean_name(f"|{piece}|")[1:-1]
        for piece in (hit.excerpt[: hit.start], hit.excerpt[hit.start : hit.end], hit.excerpt[hit.end :])
    )
    rest = width - cell_len(found)
    room = max(rest // 2, rest - cell_len(after))
    if cell_len(before) > room:
        while before and cell_len(before) > room - 1:
            before = before[1:]
        before = f"…{before}"
    whole = line((before, "$thought"), (found, "bold $accent"), (after, "$thought"))
    return whole.truncate(width, ellipsis=True)
