"""A reply of a server as it grows: split into thinking and answer, timed, counted, and passed on."""

from __future__ import annotations

import time

from engine.backend import ReplySink
from engine.chat.thinking import ThinkParser
from engine.growing import GrowingReply
from engine.protocol.specs import Part
from engine.servers.asked import Piece


class Writing(GrowingReply):
    """One reply. What the server itself calls thinking is believed; else tags in the text are searched."""

    def __init__(self, sink: ReplySink, *, starts_thinking: bool) -> None:
        """`starts_thinking`: an answer that nobody split is thinking until a closing tag comes."""
        super().__init__(sink)
        self._starts_thinking = starts_thinking
        self._parser: ThinkParser | None = None
        self._split = False
        self._blank = ""
        """White space that may be all the thinking there is."""
        self._began = time.monotonic()
        self._first: float | None = None
        self._last = self._began
        self.tokens = 0
        """Pieces that held text: most servers send one a token."""

    @property
    def part(self) -> Part:
        """What came last belongs to it."""
        return "thinking" if self._state == "thinking" else "answer"

    @property
    def empty(self) -> bool:
        """Whether the server has said nothing yet."""
        return self._first is None

    @property
    def ttft_ms(self) -> float:
        """From the question to the first piece."""
        return 0.0 if self._first is None else (self._first - self._began) * 1000

    @property
    def decode_s(self) -> float:
        """From the first piece to the last."""
        return 0.0 if self._first is None else self._last - self._first

    def begun(self, thinking: str, text: str) -> None:
        """What a continued reply begins with: as text only."""
        if thinking:
            self._put("thinking", thinking)
        if text:
            self._put("answer", text)
        self._began = time.monotonic()

    def asked(self) -> None:
        """The question goes out now, maybe once more."""
        if self.empty:
            self._began = time.monotonic()

    def feed(self, piece: Piece) -> None:
        """Take what the server sent."""
        if not piece.thinking and not piece.text:
            return
        self._last = time.monotonic()
        self._first = self._last if self._first is None else self._first
        self.tokens += 1
        if piece.thinking:
            self._split = True
            self._emit("thinking", piece.thinking)
        for part, text in self._parsed(piece.text):
            self._emit(part, text)
        self.thinking_tokens += self.part == "thinking"

    def again(self) -> None:
        """The rest comes from another question, which asked for the answer alone."""
        self.flush()
        self._parser, self._split, self._starts_thinking = None, False, False

    def flush(self) -> None:
        """The end: what was held back as a possible tag comes out, and the clock stops."""
        for part, text in self._parser.flush() if self._parser is not None else ():
            self._emit(part, text)
        self._clock(False)

    def never_closed(self) -> bool:
        """Whether all of it was taken for thinking on a guess alone, which a whole reply proves wrong."""
        return self._starts_thinking and not self._split and not self.text("answer").strip()

    def _parsed(self, text: str) -> list[tuple[Part, str]]:
        if self._split:
            return [("answer", text)] if text else []
        if self._parser is None:
            if not text:
                return []
            self._parser = ThinkParser((), (), self._starts_thinking)
        return self._parser.feed(0, text)

    def _emit(self, part: Part, text: str) -> None:
        if part == "thinking" and not self._pieces["thinking"]:
            # A model that was told not to think often leaves an empty pair of tags.
            self._blank += text
            text = self._blank if self._blank.strip() else ""
        if text:
            self._enter("thinking" if part == "thinking" else "answering")
            self._put(part, text)
