"""The link to the engine: connects, folds events into the state, says in plain words when it breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Protocol

from engine.api import EngineDead, EngineError, EngineLost, ErrorInfo, commands, events, runs, specs
from tui.curve import Curve
from tui.reduce import Dirty, What, apply, from_snapshot, lose_link, take_older, take_page
from tui.reduce_runs import take_curve
from tui.state import EngineState

RESTARTS = "engine_restarts"
"""Code of the error when the engine was killed and its parent starts it again (engine.connect)."""
PAGE = 60
"""Messages read at once."""
STEADY = 2.0
"""Seconds after which a line counts as one that holds."""
LOCAL_TRIES = 3
"""To reach the engine of this machine again by itself; then a key does."""
DELAYS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before each further try to reach a host again; the last one stays."""


class Wire(Protocol):
    """What the link needs of `engine.api.Client`."""

    @property
    def welcome(self) -> Any: ...

    async def request(self, command: Any) -> Any: ...

    def events(self) -> AsyncIterator[Any]: ...

    async def close(self) -> None: ...


class Link:
    """Owns the client of one engine and everything that changes its state.

    `run` lives as long as the screen. What must be drawn is gathered in `dirty`; `on_dirty` is called once
    for each batch, `on_open` after each (re)connection.
    """

    def __init__(
        self,
        state: EngineState,
        dial: Callable[[], Awaitable[Wire]],
        *,
        on_dirty: Callable[[], None],
        on_open: Callable[[], None],
    ) -> None:
        self.state = state
        self.person_needed = False
        """Whether the host asks what only a person can answer: a password, a passphrase, a new host key."""
        self.dirty: set[Dirty] = set()
        self._dial = dial
        self._on_dirty = on_dirty
        self._on_open = on_open
        self._client: Wire | None = None
        self._again = asyncio.Event()
        self._comes_back = False
        """Whether the engine is being started again by its parent."""
        self._tries = 0
        """To reach a host again, since the line to it broke."""
        self._tries_again = False
        self._reading: dict[str, asyncio.Event] = {}
        self._older: set[str] = set()
        self._curves: set[str] = set()
        self._moved = asyncio.Event()

    @property
    def open(self) -> bool:
        """Whether requests can be made."""
        return self._client is not None

    async def run(self) -> None:
        """Connect and follow the events; after a loss wait for `restart`, or for the engine that comes back.

        A host is dialled again by itself, until that needs a person. Never returns by itself.
        """
        while True:
            self.person_needed = self._tries_again = False
            try:
                self._client = await self._dial()
            except EngineError as error:
                self._lost(error.info, dead=False)
            except EngineLost as error:
                self._lost(error.info, dead=isinstance(error, EngineDead))
            else:
                began = time.monotonic()
                await self._follow(self._client)
                self._client = None
                if time.monotonic() - began > STEADY:
                    self._tries = 0
            await self._wait()

    async def _wait(self) -> None:
        """Until it is time for another try, or somebody asks for one."""
        if self._comes_back:
            pass
        elif self._tries_again:
            delay = DELAYS[min(self._tries, len(DELAYS) - 1)]
            self._tries += 1
            try:
                await asyncio.wait_for(self._again.wait(), delay)
            except TimeoutError:
                return  # what is said stays until this try has ended
        else:
            await self._again.wait()
        self._again.clear()
        self.state.link = "connecting"
        self.mark({Dirty(What.ENGINE)})

    def restart(self) -> bool:
        """Dial again; False when there is nothing to mend."""
        if self.state.link != "lost":
            return False
        self._again.set()
        return True

    async def close(self) -> None:
        """Leave the engine; it goes on by itself."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def request(self, command: Any) -> Any:
        """Ask the engine. Raises EngineError when it refuses, EngineLost when there is none to ask."""
        if self._client is None:
            raise EngineLost(
                ErrorInfo("engine_lost", self.state.trouble or "The engine is not there yet", retryable=True)
            )
        return await self._client.request(command)

    async def read(self, chat: str) -> None:
        """Read the newest messages of a chat; one that is being read is waited for. Raises as `request`."""
        if chat in self._reading:
            await self._reading[chat].wait()
            return
        read = self._reading[chat] = asyncio.Event()
        try:
            page = await self.request(commands.ReadChat(chat=chat, limit=PAGE))
        finally:
            del self._reading[chat]
            read.set()
        self.mark(take_page(self.state, page.chat, page.messages, more=page.more, now=time.monotonic()))

    async def read_older(self, chat: str) -> None:
        """Read the stretch before the oldest message that is known. Raises what `request` raises."""
        page = self.state.pages.get(chat)
        if page is None or not page.more or not page.path or chat in self._older:
            return
        self._older.add(chat)
        try:
            older = await self.request(commands.ReadChat(chat=chat, before=page.path[0], limit=PAGE))
        finally:
            self._older.discard(chat)
        self.mark(take_older(self.state, chat, older.messages, more=older.more))

    async def read_run(self, run: str) -> None:
        """Read a run's whole log, a page after another, once at a time. Raises what `request` raises."""
        if run in self._curves:
            return
        self._curves.add(run)
        curve, since, more = Curve(), 0, True
        try:
            while more:
                page: commands.RunPage = await self.request(commands.ReadRun(run=run, since=since))
                curve.extend(page.points, page.marks)
                curve.samples += page.samples
                curve.log = page.log
                more = page.more and bool(page.points)
                since = page.points[-1].step + 1 if page.points else 0
        finally:
            self._curves.discard(run)
        self.mark(take_curve(self.state, page.run, curve))

    async def run_ended(self, run: str) -> None:
        """Return once a run has ended, or is gone, or the link is."""
        while self._client is not None:
            known = self.state.runs.get(run)
            if known is None or known.state in runs.ENDED_STATES:
                return
            self._moved.clear()
            await self._moved.wait()

    def take_chat(self, chat: specs.ChatInfo) -> None:
        """A chat as a request has just answered it; the event with the same news may come later."""
        self.state.chats[chat.id] = chat
        self.mark({Dirty(What.CHATS)})

    def take_messages(self, messages: Iterable[specs.Message]) -> None:
        """Messages as a request has just answered them; the events with the same news may have come."""
        for message in messages:
            if message.id not in self.state.turns:
                self.mark(apply(self.state, events.MessageAdded(message=message), time.monotonic()))

    def take_aside(self, message: specs.Message) -> None:
        """A message that the chat's path does not go through; the event with the same news may have come."""
        if message.id not in self.state.turns:
            aside = events.MessageAdded(message=message, shown=False)
            self.mark(apply(self.state, aside, time.monotonic()))

    def mark(self, dirty: set[Dirty]) -> None:
        """Have these parts drawn with the next tick."""
        if dirty:
            self.dirty |= dirty
            self._moved.set()
            self._on_dirty()

    async def _follow(self, client: Wire) -> None:
        self.mark(from_snapshot(self.state, client.welcome.snapshot, time.monotonic()))
        self._on_open()
        try:
            async for event in client.events():
                self.mark(apply(self.state, event.body, time.monotonic()))
        except EngineLost as error:
            self._lost(error.info, dead=isinstance(error, EngineDead))
        else:
            self._lost(ErrorInfo("engine_lost", "The engine closed the link"), dead=False)

    def _lost(self, info: ErrorInfo, *, dead: bool) -> None:
        title = info.title.rstrip(".")
        self._comes_back = info.code == RESTARTS
        if self.state.host and not dead and not self._comes_back:
            self.mark(lose_link(self.state, self._out_of_reach(info), dead=False))
            return
        if self._comes_back:
            self.mark(lose_link(self.state, f"{title}. Everything shown here is kept.", dead=dead))
            return
        if info.code == "engine_lost" and not dead and self._tries < LOCAL_TRIES:
            self._tries_again = True  # the engine is alive: it cut off a screen that read nothing for long
            trouble = f"{title}. Everything shown here is kept. Connecting again."
            self.mark(lose_link(self.state, trouble, dead=False))
            return
        if dead or info.code == "engine_lost":
            remedy = "F9 starts it again" if dead else "F9 connects again"
            trouble = f"{title}. Everything shown here is kept. {remedy}."
        else:
            trouble = f"{info.sentence()} F9 tries again."
        self.mark(lose_link(self.state, trouble, dead=dead))

    def _out_of_reach(self, info: ErrorInfo) -> str:
        """What is said of a host that cannot be reached, and whether it is tried again by itself."""
        from engine.api import NEEDS_PERSON

        title, kept = info.title.rstrip("."), "Everything shown here is kept."
        self.person_needed = info.code in NEEDS_PERSON
        if self.person_needed:
            return f"{title}. {kept} F9 steps aside for it."
        self._tries_again = info.retryable or info.code == "engine_lost"
        if self._tries_again:
            return f"{title}. {kept} Reconnecting to {self.state.host}; F9 tries at once."
        return f"{info.sentence()} F9 tries again."
