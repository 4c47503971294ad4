"""A reply as it grows, whoever computes it: its text in two parts, and the clock of its thinking."""

from __future__ import annotations

import time

from engine.backend import ReplySink
from engine.protocol.specs import MessageState, Part


class GrowingReply:
    """One reply's text, streamed into the sink; subclasses split it into thinking and answer."""

    def __init__(self, sink: ReplySink, thinking_s: float = 0.0) -> None:
        """`thinking_s`: seconds of thinking in what the reply begins with."""
        self._sink = sink
        self._state: MessageState = "prefill"
        self._pieces: dict[Part, list[str]] = {"thinking": [], "answer": []}
        self._since: float | None = None
        self._thought_s = thinking_s
        self.thinking_tokens = 0

    @property
    def thinking_s(self) -> float:
        """Seconds of thinking, the running stretch included."""
        return self._thought_s + (0.0 if self._since is None else time.monotonic() - self._since)

    def text(self, part: Part) -> str:
        """All of one part."""
        return "".join(self._pieces[part])

    def _write(self, pieces: list[tuple[Part, str]]) -> None:
        """Add what a parser made of new text."""
        for part, text in pieces:
            self._enter("thinking" if part == "thinking" else "answering")
            self._put(part, text)

    def _put(self, part: Part, text: str) -> None:
        self._pieces[part].append(text)
        self._sink.text(part, text)

    def _enter(self, state: MessageState) -> None:
        if state != self._state:
            self._state = state
            self._clock(state == "thinking")
            self._sink.moved(state)

    def _clock(self, run: bool) -> None:
        self._thought_s = self.thinking_s
        self._since = time.monotonic() if run else None
