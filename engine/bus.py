"""Events in order, and one bounded outbox a client that merges what waits, so that nobody slows a worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import msgspec

from engine.protocol.events import AnyBody, Delivery, TextDelta
from engine.protocol.wire import Event, Reply

EXACT_LIMIT = 10_000
"""Unmergeable lines that may wait for one client before it is cut off; it comes back by a new snapshot."""
JOIN_LIMIT = 64 << 10
"""Code points that one joined delta holds at most, far below a line's limit."""


class Outbox:
    """What waits for one client. Used from the loop's thread only."""

    def __init__(self) -> None:
        self._waiting: dict[int, Event | Reply] = {}
        self._places: dict[str, int] = {}
        self._next = 0
        self._ready = asyncio.Event()
        self.overflowed = False
        """Whether it was given up; nothing waits in it from then on."""
        self.cut: Callable[[], None] = lambda: None
        """Called once, when it overflows."""

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, item: Event | Reply) -> None:
        """Queue a line, merged with what waits as its class allows."""
        if self.overflowed:
            return
        if isinstance(item, Event) and item.body.delivery is not Delivery.EXACT:
            self._merge(item)
        else:
            self._append(item)
        if len(self._waiting) > EXACT_LIMIT:
            self._give_up()
        self._ready.set()

    async def take(self) -> list[Event | Reply]:
        """All that waits, in order; blocks while there is nothing."""
        await self._ready.wait()
        self._ready.clear()
        items = list(self._waiting.values())
        self._waiting.clear()
        self._places.clear()
        return items

    def _give_up(self) -> None:
        """Its client reads nothing: what waits would grow for as long as that lasts."""
        self.overflowed = True
        self._waiting.clear()
        self._places.clear()
        self.cut()

    def _append(self, item: Event | Reply) -> int:
        self._next += 1
        self._waiting[self._next] = item
        return self._next

    def _merge(self, event: Event) -> None:
        key = event.body.key()
        place = self._places.get(key)
        waiting = self._waiting.get(place) if place is not None else None
        if isinstance(event.body, TextDelta):
            joined = _joined(waiting, event.body)
            if joined is not None and place is not None:
                self._waiting[place] = joined
                return
        elif place is not None:
            self._waiting.pop(place, None)
        self._places[key] = self._append(event)


def _joined(waiting: Event | Reply | None, delta: TextDelta) -> Event | None:
    if not isinstance(waiting, Event) or not isinstance(waiting.body, TextDelta):
        return None
    text = waiting.body.text + delta.text
    if waiting.body.offset + len(waiting.body.text) != delta.offset or len(text) > JOIN_LIMIT:
        return None
    return msgspec.structs.replace(waiting, body=msgspec.structs.replace(waiting.body, text=text))


class Bus:
    """Numbers events and hands each to every outbox. Used from the loop's thread only."""

    def __init__(self) -> None:
        self.seq = 0
        self._outboxes: list[Outbox] = []

    def publish(self, body: AnyBody) -> None:
        """Send to all clients. What is EXACT must be in the store already."""
        self.seq += 1
        event = Event(self.seq, time.time(), body)
        for outbox in self._outboxes:
            outbox.put(event)

    def subscribe(self) -> Outbox:
        """An outbox that gets every event from now on."""
        outbox = Outbox()
        self._outboxes.append(outbox)
        return outbox

    def unsubscribe(self, outbox: Outbox) -> None:
        if outbox in self._outboxes:
            self._outboxes.remove(outbox)

    def __iter__(self) -> Iterator[Outbox]:
        return iter(self._outboxes)
