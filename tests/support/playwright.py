"""A scripted engine that takes messages and answers what a test tells it to."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from engine.api import commands, events, specs
from tests.support.scripted import Script

MODEL = specs.ModelInfo("demo", "demo", source="demo", thinking="switchable", context=2048, state="ready")


class Playwright(Script):
    """Takes messages, and answers what the test tells it to."""

    def __init__(self, answer: str = "") -> None:
        super().__init__(models=(MODEL,))
        self.answer = answer
        """Given to each message at once; without one the test gives it."""
        self.sent: list[specs.Message] = []
        self._chats["c1"] = specs.ChatInfo("c1", model="demo")

    async def handle(self, command: commands.AnyCommand) -> msgspec.Struct:
        if isinstance(command, commands.NewChat):
            self.asked.append(command)
            self._chats["c1"] = specs.ChatInfo("c1", model="demo", settings=command.settings)
            return self._chats["c1"]
        if isinstance(command, commands.Send):
            self.asked.append(command)
            number = len(self.sent)
            user = specs.Message(f"u{number}", "c1", "user", command.text, files=command.files)
            self.sent.append(specs.Message(f"r{number}", "c1", "assistant", state="queued", model="demo"))
            self._chats["c1"] = replace(self._chats["c1"], head=f"r{number}", title="A talk")
            if self.answer:
                self.grow("answer", self.answer)
                self.done(self.answer)
            return commands.Sent(self._chats["c1"], user, self.sent[-1])
        if isinstance(command, commands.StopReply):
            self.done("so far", finish="cancelled")
        if isinstance(command, commands.AnswerNow):
            self.grow("answer", "At once.")
            self.done("At once.")
        return await super().handle(command)

    def messages(self) -> list[str]:
        """The texts that were sent."""
        return [command.text for command in self.asked if isinstance(command, commands.Send)]

    def grow(self, part: specs.Part, text: str, offset: int = 0) -> None:
        """The newest reply goes on."""
        state: specs.MessageState = "thinking" if part == "thinking" else "answering"
        reply = self.sent[-1].id
        self.tell(events.ReplyMoved("c1", reply, state), events.TextDelta("c1", reply, part, offset, text))

    def done(self, text: str, *, finish: specs.Finish = "stop", thinking: str = "") -> None:
        """The newest reply ends."""
        stats = specs.ReplyStats(tokens=41, thinking_tokens=30 if thinking else 0, thinking_s=1.2)
        reply = replace(self.sent[-1], text=text, thinking=thinking, state="done", finish=finish, stats=stats)
        self.tell(events.ReplyDone(reply))
