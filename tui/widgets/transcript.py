"""The conversation: a window of mounted messages that follows what is written, or stays where one reads."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.geometry import Offset
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from tui.actions import Where
from tui.bindings import bindings
from tui.state import State, Turn
from tui.text import clean
from tui.widgets.thought import Thought
from tui.widgets.turn import TurnView
from tui.widgets.welcome import welcome

STEP = 20
"""Messages mounted at once, as far as STEP_WEIGHT allows."""
STEP_WEIGHT = 12_000
"""Characters (a line counts as forty more) mounted at once, but for a single message that has more."""
WINDOW, WINDOW_WEIGHT = 60, 36_000
"""What is mounted at most while following; older messages come back on scrolling up."""


class Transcript(VerticalScroll):
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

    class Top(Message):
        """The reader is at the oldest message that is mounted."""

    class Verb(Message):
        """A key for the screen: `copy_message`, `copy_chat`, `regenerate`, `write`, `help`."""

        def __init__(self, verb: str) -> None:
            super().__init__()
            self.verb = verb

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state
        self._chat: str | None = None
        self._views: dict[str, TurnView] = {}
        self._order: list[str] = []
        self._folds: dict[str, bool] = {}
        self._welcome: Static | None = None
        self._pending: Static | None = None
        self._selected = ""
        self._seen = 0
        self._mounting = asyncio.Lock()
        """Widgets are mounted by one at a time: the drawing clock, or a key."""

    # --- what is shown ----------------------------------------------------------------------

    async def draw(self, touched: set[str], *, path_changed: bool) -> None:
        """Bring the widgets in line with the state; `touched` are the messages with news."""
        async with self._mounting:
            if self._chat != self._state.chat:
                await self._switch()
            elif path_changed:
                await self._arrange()
            for turn_id in self._order:
                view = self._views[turn_id]
                if turn_id in touched or view.unfinished:
                    await view.sync(self._turn(turn_id), self._folds.get(turn_id))
            await self._draw_pending()

    @property
    def busy(self) -> bool:
        """Whether a mounted message grows, so that its clock must go on."""
        return any(view.unfinished for view in self._views.values())

    @property
    def unseen(self) -> int:
        """Lines that came below while the reader was further up."""
        return 0 if self.following else max(0, self.virtual_size.height - self._seen)

    async def earlier(self) -> bool:
        """Mount a step of older messages that are known; False when there are none."""
        async with self._mounting:
            path = self._path()
            start = path.index(self._order[0]) if self._order and self._order[0] in path else 0
            if start == 0:
                return False
            await self._mount_before(self._fit(path[:start], STEP, STEP_WEIGHT))
        return True

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
            self._resume()
            return
        view.select(True)
        if turn_id != self._order[-1]:
            self.release_anchor()
        self.scroll_to_widget(view, animate=False, immediate=True)

    def step(self, by: int) -> None:
        """Select the message above (-1) or below (1); past the newest one nothing is selected."""
        if not self._order:
            return
        at = self._order.index(self._selected) if self._selected in self._views else len(self._order)
        target = at + by
        if target >= len(self._order):
            self.follow()
        elif target < 0:
            self.post_message(self.Top())
        else:
            self.select(self._order[target])

    # --- following --------------------------------------------------------------------------

    @property
    def following(self) -> bool:
        """Whether it stays at the newest line. Textual's anchor, held, is the one truth about it."""
        return self._anchored and not self._anchor_released

    def follow(self) -> None:
        """Go to the newest line and stay there."""
        self.select("")
        self.anchor()

    def release_anchor(self) -> None:
        """Any scrolling comes by here first: stay where the reader goes, unless that is the end."""
        if self.following:
            self._seen = self.virtual_size.height
            if self.scroll_y < 0:
                self.set_reactive(Widget.scroll_y, 0)  # a short chat's anchor counts from the bottom
        super().release_anchor()
        self.call_after_refresh(self._resume)

    def _resume(self) -> None:
        """At the end with nothing selected above it: follow again."""
        if not self.following and not self._selected and self.scroll_y >= self.max_scroll_y:
            self.anchor()

    @property
    def scroll_offset(self) -> Offset:
        """An anchored chat that is shorter than the screen starts at the top, not at the bottom."""
        x, y = super().scroll_offset
        return Offset(max(0, x), max(0, y))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Downward to the last line but one resumes; upward to the first asks for older messages."""
        super().watch_scroll_y(old_value, new_value)
        if self.following:
            return
        if new_value > old_value and new_value >= self.max_scroll_y - 1:
            self.anchor()
        elif new_value < old_value and new_value <= 1:
            self.post_message(self.Top())

    # --- folding ----------------------------------------------------------------------------

    async def toggle(self, turn_id: str) -> None:
        """Fold or open one thought; from now on it stays as the reader wants it."""
        view = self._views.get(turn_id)
        if view is None or view.thought is None:
            return
        self._folds[turn_id] = not view.thought.is_open
        async with self._mounting:
            await view.sync(self._turn(turn_id), self._folds[turn_id])

    async def toggle_all(self) -> bool:
        """Fold all thoughts if one is open, else open all; tells whether they are open now."""
        thoughts = [(turn_id, view.thought) for turn_id, view in self._views.items() if view.thought]
        to = not any(thought.is_open or thought.peeking for _, thought in thoughts)
        async with self._mounting:
            for turn_id, _ in thoughts:
                self._folds[turn_id] = to
                await self._views[turn_id].sync(self._turn(turn_id), to)
        return to

    async def on_thought_toggled(self, event: Thought.Toggled) -> None:
        event.stop()
        await self.toggle(event.turn)

    # --- keys -------------------------------------------------------------------------------

    def action_select_next(self) -> None:
        self.step(1)

    def action_select_previous(self) -> None:
        self.step(-1)

    def action_first(self) -> None:
        self.release_anchor()
        if self._order:
            self.select(self._order[0])
        self.scroll_home(animate=False)
        self.post_message(self.Top())

    def action_last(self) -> None:
        self.follow()

    async def action_fold(self) -> None:
        turn_id = self._selected or (self._order[-1] if self._order else "")
        await self.toggle(turn_id)

    def action_copy_message(self) -> None:
        self.post_message(self.Verb("copy_message"))

    def action_copy_chat(self) -> None:
        self.post_message(self.Verb("copy_chat"))

    def action_regenerate(self) -> None:
        self.post_message(self.Verb("regenerate"))

    def action_write(self) -> None:
        self.post_message(self.Verb("write"))

    def action_ask_help(self) -> None:
        self.post_message(self.Verb("help"))

    # --- mounting ---------------------------------------------------------------------------

    def _path(self) -> list[str]:
        page = self._state.engine.pages.get(self._state.chat)
        return page.path if page else []

    def _turn(self, turn_id: str) -> Turn:
        return self._state.engine.turns[turn_id]

    async def _switch(self) -> None:
        """Another chat: start with its newest messages."""
        self._chat = self._state.chat
        self._views.clear()
        self._order.clear()
        self._selected = ""
        self._welcome = self._pending = None
        with self.app.batch_update():
            await self.remove_children()
            await self._arrange()
            self.anchor()

    async def _arrange(self) -> None:
        """Mount what is new, take away what is gone or far above."""
        path = self._path()
        known = bool(self._order) and self._order[0] in path
        if not known:
            target = self._fit(path, STEP, STEP_WEIGHT)
        else:
            target = path[path.index(self._order[0]) :]
            if self.following and len(self._fit(target, WINDOW, WINDOW_WEIGHT)) < len(target):
                target = self._fit(target, STEP, STEP_WEIGHT)
        keep = set(target)
        for turn_id in [gone for gone in self._order if gone not in keep]:
            self._order.remove(turn_id)
            await self._views.pop(turn_id).remove()
        await self._mount_views([turn_id for turn_id in target if turn_id not in self._views], before=None)
        await self._show_welcome()

    def _fit(self, turn_ids: list[str], most: int, weight: int) -> list[str]:
        """The newest of these messages that keep to the number and the weight; at least one."""
        start = len(turn_ids)
        while start > 0 and len(turn_ids) - start < most:
            text = self._turn(turn_ids[start - 1]).text
            weight -= len(text) + 40 * text.count("\n")
            if weight < 0 and start < len(turn_ids):
                break
            start -= 1
        return turn_ids[start:]

    async def _mount_before(self, turn_ids: list[str]) -> None:
        """Older messages go above, and what the reader looks at stays where it is."""
        height, at = self.virtual_size.height, self.scroll_y
        await self._mount_views(turn_ids, before=self._views[self._order[0]] if self._order else None)

        def hold() -> None:
            self.scroll_to(y=at + self.virtual_size.height - height, animate=False, immediate=True)

        self.call_after_refresh(hold)

    async def _mount_views(self, turn_ids: list[str], before: Widget | None) -> None:
        if not turn_ids:
            return
        engine = self._state.engine
        views = [TurnView(self._turn(each), engine, self._folds.get(each)) for each in turn_ids]
        if before is None and self._pending is not None:
            before = self._pending
            self._order += turn_ids
        elif before is None:
            self._order += turn_ids
        else:
            self._order[:0] = turn_ids
        self._views.update(zip(turn_ids, views, strict=True))
        with self.app.batch_update():
            await self.mount_all(views, before=before)
            for turn_id, view in zip(turn_ids, views, strict=True):
                await view.sync(self._turn(turn_id), self._folds.get(turn_id))

    async def _show_welcome(self) -> None:
        """An empty chat says what to do."""
        if self._order or self._state.pending:
            if self._welcome is not None:
                await self._welcome.remove()
                self._welcome = None
            return
        words = welcome(self._state)
        if self._welcome is None:
            self._welcome = Static(words, classes="welcome", markup=False)
            await self.mount(self._welcome)
        else:
            self._welcome.update(words)

    async def refresh_welcome(self) -> None:
        """The model may have become known or changed."""
        async with self._mounting:
            if not self._order:
                await self._show_welcome()

    async def _draw_pending(self) -> None:
        """Messages that wait for the engine."""
        texts = [pending.text for pending in self._state.pending if pending.chat == self._state.chat]
        if not texts:
            if self._pending is not None:
                await self._pending.remove()
                self._pending = None
            return
        words = "\n\n".join(f"{clean(text)}\n– waits for the engine" for text in texts)
        if self._pending is None:
            await self._show_welcome()
            self._pending = Static(words, classes="pending", markup=False)
            await self.mount(self._pending)
        else:
            self._pending.update(words)
