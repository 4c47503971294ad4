"""What a reply has said so far: splits it into thinking and answer, and passes it on."""

from __future__ import annotations

import time

from engine.backend import ReplySink
from engine.chat.thinking import ThinkParser
from engine.protocol.specs import MessageState, Part


class LlamaWriter:
    """One reply's text, streamed into the sink as it comes."""

    def __init__(self, parser: ThinkParser, sink: ReplySink, thinking_s: float = 0.0) -> None:
        """`thinking_s`: seconds of thinking in what the reply begins with."""
        self._parser = parser
        self._sink = sink
        self._state: MessageState = "prefill"
        self._pieces: dict[Part, list[str]] = {"thinking": [], "answer": []}
        self._since: float | None = None
        self._thought_s = thinking_s
        self.thinking_tokens = 0

    @property
    def part(self) -> Part:
        """What the next token belongs to."""
        return self._parser.part

    @property
    def thinking_s(self) -> float:
        """Seconds of thinking, the running stretch included."""
        return self._thought_s + (0.0 if self._since is None else time.monotonic() - self._since)

    def begun(self, token: int, text: str) -> None:
        """What was there before: its text is passed on, no clock runs."""
        before = self.part
        for part, piece in self._parser.feed(token, text):
            self._put(part, piece)
        self.thinking_tokens += before == self.part == "thinking"

    def begin(self) -> None:
        """The prompt is read: where it, or what was begun, is inside thinking, the clock starts."""
        if self.part == "thinking":
            self._enter("thinking")
        elif any(self._pieces.values()):
            self._enter("answering")

    def token(self, token: int, text: str, *, count: int = 1) -> None:
        """Take the next piece. `count`: tokens of the model's own choice in it."""
        before = self.part
        self._emit(self._parser.feed(token, text))
        after = self.part
        if before == after == "thinking":
            self.thinking_tokens += count
        if "thinking" in (before, after):
            self._enter("thinking" if after == "thinking" else "answering")

    def flush(self) -> None:
        """The end: whatever was held back comes out, and the clock stops."""
        self._emit(self._parser.flush())
        self._clock(False)

    def text(self, part: Part) -> str:
        """All of one part."""
        return "".join(self._pieces[part])

    def _emit(self, pieces: list[tuple[Part, str]]) -> None:
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
