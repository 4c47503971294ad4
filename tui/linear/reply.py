"""One reply as it grows, told in plain words."""

from __future__ import annotations

import time

from engine.api import events, specs
from tui.cli.stream import Quiet
from tui.linear import words
from tui.linear.paper import Paper

UNDER_WAY = ("prefill", "thinking", "answering")


class Telling(Quiet):
    """Writes the answer, announces everything else; thoughts are written where they are wanted."""

    def __init__(self, paper: Paper, reply: specs.Message, *, show_thinking: bool, name: str) -> None:
        super().__init__()
        self._paper = paper
        self._reply = reply
        self._show_thinking = show_thinking
        self._load = words.LoadSteps(name)
        self._name = name
        self._began = self._thought_since = time.monotonic()
        self._stats: specs.ReplyStats | None = None
        self.state: specs.MessageState = "queued"

    def take(self, body: events.Body) -> specs.Message | None:
        """Take an event; the whole reply once it is done."""
        match body:
            case events.TextDelta() if body.message == self._reply.id:
                self.delta(body.part, body.offset, body.text)
            case events.ReplyProgress() if body.message == self._reply.id:
                self._stats = body.stats
            case events.ReplyMoved() if body.message == self._reply.id:
                self._move(body.state)
            case events.ModelLoading() if body.model == self._reply.model and self.state == "loading":
                self._say(self._load.tell(body.progress))
            case events.ReplyDone() if body.message.id == self._reply.id:
                self._finish(body.message)
                return body.message
        return None

    def show(self, part: specs.Part, text: str) -> None:
        """Write or withhold what came of a part."""
        if not text:
            return
        self._move("thinking" if part == "thinking" else "answering")
        if part == "answer":
            grown = self.parts["answer"].text
            # Models put blank lines before an answer; on a terminal they would part it from its heading.
            at_start = not grown[: len(grown) - len(text)].strip()
            self._paper.grow(text.lstrip("\n") if at_start and self._paper.out.isatty() else text)
        elif self._show_thinking:
            self._paper.grow(text, aside=True, indent="  ")

    def _move(self, state: specs.MessageState) -> None:
        """Go on to a state; each is announced once."""
        before, self.state = self.state, state
        if before == state:
            return
        if before not in UNDER_WAY and state in UNDER_WAY:
            self._began = time.monotonic()
        if state == "loading":
            self._say(f"Loading {self._name}.")
        elif state == "thinking":
            self._thought_since = time.monotonic()
            self._say("Thinking.")
        elif state == "answering":
            if before == "thinking":
                self._end_thought()
            self._say("Answer:")

    def _end_thought(self) -> None:
        self._say(words.thought(self._stats, time.monotonic() - self._thought_since))

    def _finish(self, whole: specs.Message) -> None:
        self._stats = whole.stats or self._stats
        self.finish(whole)
        if self.state == "thinking":
            self._end_thought()
        self._paper.end()
        self._say(words.ended(whole, time.monotonic() - self._began))

    def _say(self, sentence: str) -> None:
        if sentence:
            self._paper.say(sentence)
