"""The conversation: selecting, following, folding, and what is found again in a chat."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.timer import Timer

from tui import chat_view
from tui.actions import Where
from tui.bindings import bindings
from tui.state import State, Turn
from tui.widgets.thought import Fold, Thought
from tui.widgets.transcript_verbs import TranscriptVerbs
from tui.widgets.turn import TurnView
from tui.widgets.window import STEP, WINDOW

__all__ = ["STEP", "WINDOW", "Transcript"]

SETTLED = 1.5
"""Seconds without a movement after which the place in a chat is worth keeping."""


class Transcript(TranscriptVerbs):
    """Follows the newest line until the reader moves up; End or G follows again."""

    DEFAULT_CSS = """
    Transcript {
        layout: stream;
        height: 1fr;
        padding: 1 0 0 0;
        background: $background;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
    }
    Transcript > .welcome {
        padding: 1 3;
        color: $thought;
        height: auto;
    }
    Transcript > .pending {
        padding: 0 3;
        color: $thought;
        height: auto;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.TRANSCRIPT)

    class Digit(Message):
        """A digit was pressed: the number of a code block."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    class Settled(Message):
        """The reader has stayed at a place, or folded something, and gone on."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self._settling: Timer | None = None

    # --- selection --------------------------------------------------------------------------

    @property
    def selected(self) -> Turn | None:
        """The selected message."""
        return self._state.engine.turns.get(self._selected) if self._selected in self._views else None

    def select(self, turn_id: str) -> None:
        """Mark a mounted message and bring it into view; an empty id marks none."""
        if self._selected in self._views:
            self._views[self._selected].select(False)
        self._selected = turn_id
        view = self._views.get(turn_id)
        if view is None:
            if not self.following and self.near_end():
                self.resume()
            return
        view.select(True)
        if self._path()[-1:] != [turn_id]:
            self.pause()
        self.scroll_to_widget(view, animate=False, immediate=True)

    def step(self, by: int) -> None:
        """Select the message above (-1) or below (1); past the newest one nothing is selected."""
        if not self._order:
            return
        at = self._order.index(self._selected) if self._selected in self._views else len(self._order)
        target = at + by
        if target >= len(self._order):
            if self.whole:
                self.follow()
            else:
                self._ask_bottom()
        elif target < 0:
            self._ask_top()
        else:
            self.select(self._order[target])

    def row_of(self, turn_id: str) -> int:
        """Lines between the top of what is shown and a mounted message; negative above it."""
        view = self._views.get(turn_id)
        return view.virtual_region.y - round(self.scroll_y) if view is not None else 0

    async def hold(self, turn_id: str, row: int) -> None:
        """Draw the path as it is now and select a message of it at this row, at the top if that is above."""
        await self.draw(set(), path_changed=True)
        path = self._path()
        while turn_id not in self._views:
            if turn_id not in path or not self._order:
                return
            above = path.index(turn_id) < path.index(self._order[0])
            if not await (self.earlier() if above else self.later()):
                return
        if self._selected in self._views:
            self._views[self._selected].select(False)
        self._selected = turn_id
        self._views[turn_id].select(True)
        self.stand_at((self._views[turn_id],), -max(0, row))

    # --- following --------------------------------------------------------------------------

    def follow(self) -> None:
        """Go to the newest line and stay there."""
        self.select("")
        self._follow.end()
        if self.whole:
            self.resume()
        else:
            self.call_later(self._to_newest)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Upward to the first line asks for older messages, downward to the last for newer ones."""
        super().watch_scroll_y(old_value, new_value)
        if self.following:
            return
        self._settle()
        if new_value < old_value and new_value <= 1:
            self._ask_top()
        elif new_value > old_value and not self.whole and new_value >= self.max_scroll_y - self.size.height:
            self._ask_bottom()

    # --- what is remembered -----------------------------------------------------------------

    def view(self) -> str:
        """Folds and place of the chat shown, to be found again; empty where there is nothing to tell."""
        place = None
        if not self.following and self._spots:
            for way, offset in self._spots:
                if len(way) == 1 and isinstance(way[0], TurnView):
                    place = chat_view.Place(way[0].turn_id, offset)
                    break
        return chat_view.write(self._folds, place)

    @property
    def chat(self) -> str:
        """The chat that is drawn; for a moment not yet the one that was opened."""
        return self._chat or ""

    def _settle(self) -> None:
        """Something worth keeping has changed."""
        if self._settling is not None:
            self._settling.stop()
        self._settling = self.set_timer(SETTLED, lambda: self.post_message(self.Settled()))

    # --- folding ----------------------------------------------------------------------------

    async def toggle(self, turn_id: str) -> None:
        """Fold or open one thought; from now on it stays as the reader wants it."""
        view = self._views.get(turn_id)
        if view is not None and view.thought is not None:
            await self.fold([turn_id], "folded" if view.thought.is_open else "open")

    async def peek(self, turn_id: str) -> None:
        """Show the last lines of one thought, or fold it again."""
        view = self._views.get(turn_id)
        if view is not None and view.thought is not None:
            await self.fold([turn_id], "folded" if view.thought.peeking else "peek")

    async def fold(self, turn_ids: Iterable[str], to: Fold) -> None:
        """Bring these thoughts into one state."""
        async with self._mounting:
            for turn_id in turn_ids:
                self._folds[turn_id] = to
                await self._views[turn_id].sync(self._turn(turn_id), to)
        self._settle()

    async def toggle_all(self) -> bool:
        """Fold all thoughts if one is open, else open all; tells whether they are open now."""
        thoughts = {turn_id: view.thought for turn_id, view in self._views.items() if view.thought}
        to = not any(thought.is_open or thought.peeking for thought in thoughts.values())
        await self.fold(thoughts, "open" if to else "folded")
        return to

    async def toggle_raw(self, turn_id: str) -> bool | None:
        """Show a reply as it is stored, or as Markdown; None where there is no such reply."""
        view = self._views.get(turn_id)
        if view is None or view.answer is None:
            return None
        self._raw ^= {turn_id}
        async with self._mounting:
            await view.show_raw(turn_id in self._raw)
        return turn_id in self._raw

    def move_code(self, by: int) -> bool | None:
        """Scroll the code of the selected or newest reply sideways; None where there is no code."""
        turn_id = self._selected or next(
            (each for each in reversed(self._order) if self._views[each].answer), ""
        )
        view = self._views.get(turn_id)
        fences = view.answer.fences() if view is not None and view.answer is not None else []
        if not fences:
            return None
        return any([fence.move(by) for fence in fences])

    async def on_thought_toggled(self, event: Thought.Toggled) -> None:
        event.stop()
        await self.toggle(event.turn)

    # --- keys -------------------------------------------------------------------------------

    def action_select_next(self) -> None:
        self.step(1)

    def action_select_previous(self) -> None:
        self.step(-1)

    def action_first(self) -> None:
        self.pause()
        if self._order:
            self.select(self._order[0])
        self.scroll_home(animate=False)
        self._ask_top()

    def action_last(self) -> None:
        self.follow()

    def action_half_page_up(self) -> None:
        self.scroll_relative(y=-(self.size.height // 2), animate=False)

    def action_half_page_down(self) -> None:
        self.scroll_relative(y=self.size.height // 2, animate=False)

    async def action_fold(self) -> None:
        turn_id = self._selected or (self._order[-1] if self._order else "")
        await self.toggle(turn_id)

    async def action_peek(self) -> None:
        await self.peek(self._selected or (self._order[-1] if self._order else ""))

    def on_key(self, event: events.Key) -> None:
        if len(event.key) == 1 and event.key in "123456789":
            event.stop()
            self.post_message(self.Digit(int(event.key)))
