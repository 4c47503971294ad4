"""Whose turn it is: a queue in which the chat's replies and other callers alternate, and nobody starves."""

from __future__ import annotations

import asyncio
from collections import deque

from engine.live import LiveReply


class Visit:
    """A turn for one who is no reply of a chat: the queue stands still from `begun` until `over`."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.over = asyncio.Event()

    async def hold(self) -> None:
        """Called by the queue's worker when it is this one's turn."""
        self.begun.set()
        await self.over.wait()


class FairQueue:
    """First come, first served among replies and among visits; while both wait, they alternate."""

    def __init__(self) -> None:
        self._replies: deque[LiveReply] = deque()
        self._visits: deque[Visit] = deque()
        self._visited = False
        """Whether the last turn was a visit."""
        self._filled = asyncio.Event()

    def put(self, item: LiveReply | Visit) -> None:
        """Let one more wait."""
        if isinstance(item, Visit):
            self._visits.append(item)
        else:
            self._replies.append(item)
        self._filled.set()

    async def get(self) -> LiveReply | Visit:
        """The next one, as soon as there is one."""
        while not (self._replies or self._visits):
            self._filled.clear()
            await self._filled.wait()
        self._visited = bool(self._visits) and not (self._visited and self._replies)
        return self._visits.popleft() if self._visited else self._replies.popleft()
