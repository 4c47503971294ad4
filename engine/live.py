"""A reply while it grows: the model thread writes into it, the loop takes from it."""

from __future__ import annotations

import asyncio
import threading

from msgspec.structs import replace

from engine.backend import Begun
from engine.protocol.specs import Message, MessageState, Part, ReplyStats

Piece = tuple[Part, str] | MessageState
"""Text of a part, or the state that begins here."""


class LiveReply:
    """The sink of one reply (engine.backend.ReplySink), and its message as clients know it.

    `message` holds exactly what was published, so a snapshot and the events after it fit together.
    """

    def __init__(self, message: Message, *, evict: bool = False, begun: Begun | None = None) -> None:
        self.message = message
        self.evict = evict
        self.begun = begun
        self.cancelled = threading.Event()
        self.answer_now = threading.Event()
        self.stopped = asyncio.Event()
        """`cancelled`, for those who wait in the loop."""
        self.changed = asyncio.Event()
        self.flushing = asyncio.Lock()
        self.ended = asyncio.Event()
        self.complained = False
        """Whether a storing fault of this reply was told."""
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._pieces: list[Piece] = []
        self._stats: ReplyStats | None = None
        self._woken = False

    # --- model thread -----------------------------------------------------------------------

    def moved(self, state: MessageState) -> None:
        with self._lock:
            self._pieces.append(state)
        self._wake()

    def text(self, part: Part, text: str) -> None:
        with self._lock:
            self._pieces.append((part, text))
        self._wake()

    def stats(self, stats: ReplyStats) -> None:
        with self._lock:
            self._stats = stats
        self._wake()

    def _wake(self) -> None:
        if not self._woken:  # one wake-up a flush, not one a token
            self._woken = True
            self._loop.call_soon_threadsafe(self.changed.set)

    # --- loop -------------------------------------------------------------------------------

    def stop(self) -> None:
        self.cancelled.set()
        self.stopped.set()

    def take(self) -> tuple[list[Piece], ReplyStats | None]:
        """What came since the last time, neighbouring text joined."""
        self.changed.clear()
        self._woken = False
        with self._lock:
            pieces, self._pieces = self._pieces, []
            stats, self._stats = self._stats, None
        return _joined(pieces), stats

    def grow(self, part: Part, text: str) -> int:
        """Add published text; returns the offset at which it stands, in code points."""
        old = self.message.thinking if part == "thinking" else self.message.text
        grown = {"thinking": old + text} if part == "thinking" else {"text": old + text}
        self.message = replace(self.message, **grown)
        return len(old)


def _joined(pieces: list[Piece]) -> list[Piece]:
    joined: list[Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if isinstance(piece, tuple) and isinstance(last, tuple) and piece[0] == last[0]:
            joined[-1] = (piece[0], last[1] + piece[1])
        else:
            joined.append(piece)
    return joined
