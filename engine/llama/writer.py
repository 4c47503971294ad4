"""What a reply has said so far: splits it into thinking and answer, and passes it on."""

from __future__ import annotations

from engine.backend import ReplySink
from engine.chat.thinking import ThinkParser
from engine.growing import GrowingReply
from engine.protocol.specs import Part


class LlamaWriter(GrowingReply):
    """One reply's text, streamed into the sink as it comes."""

    def __init__(self, parser: ThinkParser, sink: ReplySink, thinking_s: float = 0.0) -> None:
        """`thinking_s`: seconds of thinking in what the reply begins with."""
        super().__init__(sink, thinking_s)
        self._parser = parser

    @property
    def part(self) -> Part:
        """What the next token belongs to."""
        return self._parser.part

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
        self._write(self._parser.feed(token, text))
        after = self.part
        if before == after == "thinking":
            self.thinking_tokens += count
        if "thinking" in (before, after):
            self._enter("thinking" if after == "thinking" else "answering")

    def flush(self) -> None:
        """The end: whatever was held back comes out, and the clock stops."""
        self._write(self._parser.flush())
        self._clock(False)
