"""What a reply has said so far: decodes, splits into thinking and answer, and passes it on."""

from __future__ import annotations

from collections.abc import Sequence

from engine.backend import ReplySink
from engine.chat.thinking import ThinkParser
from engine.growing import GrowingReply
from engine.protocol.specs import Part
from engine.workers.tokens import TokenDecoder

NO_TOKEN = -2
"""Stands for the id of text that no single token completed."""


class ReplyWriter(GrowingReply):
    """One reply's text, streamed into the sink as it comes."""

    def __init__(self, decoder: TokenDecoder, parser: ThinkParser, sink: ReplySink) -> None:
        super().__init__(sink)
        self._decoder = decoder
        self._parser = parser

    @property
    def part(self) -> Part:
        """What the next token belongs to."""
        return self._parser.part

    def begun(self, ids: Sequence[int], thinking_s: float = 0.0) -> None:
        """What the reply begins with: as text only, for nothing of it is written now."""
        self._thought_s = thinking_s
        for token_id in ids:
            before = self.part
            for part, text in self._parser.feed(token_id, self._decoder.feed(token_id)):
                self._put(part, text)
            if before == self.part == "thinking":
                self.thinking_tokens += 1

    def begin(self) -> None:
        """Prefill is done: where the prompt, or what was begun, is inside thinking, the clock starts."""
        if self.part == "thinking":
            self._enter("thinking")
        elif any(self._pieces.values()):
            self._enter("answering")

    def token(self, token_id: int, *, counted: bool = True) -> None:
        """Take the next id. `counted`: whether it was the model's own choice."""
        before = self.part
        self._write(self._parser.feed(token_id, self._decoder.feed(token_id)))
        after = self.part
        if counted and before == after == "thinking":
            self.thinking_tokens += 1
        if after == "thinking" or before == "thinking":
            self._enter("thinking" if after == "thinking" else "answering")

    def flush(self) -> None:
        """The end: whatever was held back comes out, and the clock stops."""
        rest = self._decoder.flush()
        if rest:
            self._write(self._parser.feed(NO_TOKEN, rest))
        self._write(self._parser.flush())
        self._clock(False)
