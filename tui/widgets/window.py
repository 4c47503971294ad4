"""The messages of a chat that are mounted: a window around what is read, bounded in both directions."""

from __future__ import annotations

import asyncio

from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from tui import chat_view
from tui.state import State, Turn
from tui.text import clean
from tui.widgets.follower import Follower
from tui.widgets.thought import Fold
from tui.widgets.turn import TurnView
from tui.widgets.welcome import welcome

STEP = 20
"""Messages mounted at once, as far as STEP_WEIGHT allows."""
STEP_WEIGHT = 12_000
"""Characters (a line counts as forty more) mounted at once, but for a single message that has more."""
WINDOW, WINDOW_WEIGHT = 60, 36_000
"""What is mounted at most, but for what is near the screen; the others come back on scrolling there."""
NEAR = 1
"""Screens above and below the one shown whose messages are never taken away."""


class Window(Follower):
    """Mounts the newest messages, then others as they are scrolled to; takes away what is far from those."""

    class Top(Message, namespace="transcript"):
        """The reader is at the oldest message that is mounted."""

    class Bottom(Message, namespace="transcript"):
        """The reader is near the newest message that is mounted, and there are newer ones."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state
        self._chat: str | None = None
        self._views: dict[str, TurnView] = {}
        self._order: list[str] = []
        self._folds: dict[str, Fold] = {}
        self._raw: set[str] = set()
        """Messages that are shown as they are stored."""
        self._welcome: Static | None = None
        self._pending: Static | None = None
        self._selected = ""
        self._place: chat_view.Place | None = None
        """Where the chat that is being opened was left."""
        self._off: dict[str, int] = {}
        """Messages below that are not mounted, with their lines, about, when they were last looked at."""
        self._top_asked = self._bottom_asked = False
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
            self._count_off(touched)
            await self._draw_pending()

    @property
    def busy(self) -> bool:
        """Whether a mounted message grows, so that its clock must go on."""
        return any(view.unfinished for view in self._views.values())

    @property
    def grows(self) -> bool:
        """Whether a reply of this chat is being written."""
        return self._state.engine.live(self._state.chat) is not None

    @property
    def whole(self) -> bool:
        """Whether the chat's newest message is mounted."""
        path = self._path()
        return not path or (bool(self._order) and self._order[-1] == path[-1])

    @property
    def mounted(self) -> tuple[str, ...]:
        """The messages that have widgets, oldest first."""
        return tuple(self._order)

    async def earlier(self) -> bool:
        """Mount a step of older messages that are known; False when there are none."""
        self._top_asked = False
        async with self._mounting:
            path = self._path()
            start = path.index(self._order[0]) if self._order and self._order[0] in path else 0
            if start == 0:
                return False
            with self.app.batch_update():
                await self._drop_below()
                await self._mount_before(self._fit(path[:start], STEP, STEP_WEIGHT))
        return True

    def _ask_top(self) -> None:
        """Ask for older messages, once until they are being looked for."""
        if not self._top_asked:
            self._top_asked = True
            self.post_message(self.Top())

    def _ask_bottom(self) -> None:
        """Ask for newer messages, once until those that came have been laid out."""
        if not self._bottom_asked:
            self._bottom_asked = True
            self.post_message(self.Bottom())

    async def later(self) -> bool:
        """Mount a step of newer messages after those that are there; False when there are none."""
        async with self._mounting:
            path = self._path()
            if self.whole or not self._order or self._order[-1] not in path:
                return False
            end = path.index(self._order[-1]) + 1
            with self.app.batch_update():
                await self._drop_above()
                await self._mount_views(self._fit_down(path[end:], STEP, STEP_WEIGHT), before=None)
            self._uncounted = True
        return True

    async def on_transcript_bottom(self, event: Bottom) -> None:
        event.stop()
        await self.later()

        def laid_out() -> None:
            self._bottom_asked = False

        self.call_after_refresh(laid_out)

    async def _to_newest(self) -> None:
        """The newest messages were taken away while the reader was far above: mount them again."""
        async with self._mounting:
            with self.app.batch_update():
                for turn_id in list(self._order):
                    await self._drop(turn_id)
                self._off.clear()
                await self._arrange()
            self.resume()

    # --- mounting ---------------------------------------------------------------------------

    def _path(self) -> list[str]:
        page = self._state.engine.pages.get(self._state.chat)
        return page.path if page else []

    def _turn(self, turn_id: str) -> Turn:
        return self._state.engine.turns[turn_id]

    async def _switch(self) -> None:
        """Another chat: start with its newest messages, or where it was left."""
        self._chat = self._state.chat
        self._views.clear()
        self._order.clear()
        self._raw.clear()
        self._off.clear()
        self._selected = ""
        self._welcome = self._pending = None
        known = self._state.engine.chats.get(self._chat)
        self._folds, self._place = chat_view.read(known.view if known else "")
        self._follow.new_chat()
        self._spots = []
        with self.app.batch_update():
            await self.remove_children()
            await self._arrange()
            if self.following:
                self.anchor()

    async def _arrange(self) -> None:
        """Mount what is new, take away what is gone or far above."""
        path = self._path()
        target = self._target(path)
        keep = set(target)
        for turn_id in [gone for gone in self._order if gone not in keep]:
            await self._drop(turn_id)
        await self._mount_views([turn_id for turn_id in target if turn_id not in self._views], before=None)
        await self._show_welcome()
        self._find_place()

    def _target(self, path: list[str]) -> list[str]:
        """The stretch of the path that is to be mounted now."""
        if self._order and self._order[0] in path:
            start = path.index(self._order[0])
            if self._off and self._order[-1] in path:
                return path[start : path.index(self._order[-1]) + 1]
            if self._off:
                return self._fit_down(path[start:], WINDOW, WINDOW_WEIGHT)
            target = path[start:]
            if self.following and len(self._fit(target, WINDOW, WINDOW_WEIGHT)) < len(target):
                target = self._fit(target, STEP, STEP_WEIGHT)
            return target
        if self._place is not None and self._place.message in path:
            around = path[max(0, path.index(self._place.message) - 2) :]
            target = self._fit_down(around, STEP, WINDOW_WEIGHT)
            self._off = {each: self._lines(each) for each in around[len(target) :]}
            return target
        return self._fit(path, STEP, STEP_WEIGHT)

    def _find_place(self) -> None:
        """Go to where this chat was left, once that message is mounted."""
        place = self._place
        if place is None or not self._order:
            return
        self._place = None
        if place.message in self._views:
            self.stand_at((self._views[place.message],), place.row)

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

    def _fit_down(self, turn_ids: list[str], most: int, weight: int) -> list[str]:
        """The oldest of these messages that keep to the number and the weight; at least one."""
        return self._fit(turn_ids[::-1], most, weight)[::-1]

    async def _mount_before(self, turn_ids: list[str]) -> None:
        """Older messages go above; what the reader looks at stays where it is."""
        await self._mount_views(turn_ids, before=self._views[self._order[0]] if self._order else None)

    async def _drop(self, turn_id: str) -> None:
        if turn_id == self._selected:
            self._selected = ""
        self._order.remove(turn_id)
        await self._views.pop(turn_id).remove()

    async def _drop_below(self) -> None:
        """Take away what is far below, so that scrolling up does not mount everything for ever."""
        if self.following:
            return
        keep = len(self._fit_down(self._order, WINDOW - STEP, WINDOW_WEIGHT - STEP_WEIGHT))
        end = self.scroll_y + (1 + NEAR) * self.size.height
        while len(self._order) > keep:
            if self.region_of(self._views[self._order[-1]]).y < end:
                break
            self._off[self._order[-1]] = self._lines(self._order[-1])
            await self._drop(self._order[-1])
            self._uncounted = True

    async def _drop_above(self) -> None:
        """Take away what is far above, on the way down."""
        keep = len(self._fit(self._order, WINDOW - STEP, WINDOW_WEIGHT - STEP_WEIGHT))
        start = self.scroll_y - NEAR * self.size.height
        while len(self._order) > keep:
            if self.region_of(self._views[self._order[0]]).bottom > start:
                break
            await self._drop(self._order[0])

    def _lines(self, turn_id: str) -> int:
        """Lines of a message, about: it is not laid out."""
        text, width = self._turn(turn_id).text, max(20, self.size.width - 4)
        return text.count("\n") + len(text) // width

    def _count_off(self, touched: set[str]) -> None:
        """News in messages below that are not mounted."""
        if not self._off:
            return
        if self.whole:
            self._off.clear()
            return
        path = self._path()
        below = path[path.index(self._order[-1]) + 1 :] if self._order and self._order[-1] in path else []
        known = {each: count for each, count in self._off.items() if each not in touched}
        lines = {each: known[each] if each in known else self._lines(each) for each in below}
        self._follow.grew(below=sum(count - self._off.get(turn_id, 0) for turn_id, count in lines.items()))
        self._off = lines

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
                if turn_id in self._raw:
                    await view.show_raw(True)

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
