"""A ReplySink that keeps what it is told."""

from __future__ import annotations

import threading

from engine.protocol.specs import MessageState, Part, ReplyStats


class RecordedReply:
    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.answer_now = threading.Event()
        self.states: list[MessageState] = []
        self.pieces: list[tuple[Part, str]] = []
        self.latest: ReplyStats | None = None

    def moved(self, state: MessageState) -> None:
        self.states.append(state)

    def text(self, part: Part, text: str) -> None:
        self.pieces.append((part, text))

    def stats(self, stats: ReplyStats) -> None:
        self.latest = stats
