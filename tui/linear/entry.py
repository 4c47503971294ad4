"""What comes from the keyboard: a message, an interruption, or the end; and how several lines become one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

QUOTES = '"""'
PROMPT = "You: "
MORE = "...  "
"""Stands before the lines after the first, as wide as the prompt."""


@dataclass(frozen=True)
class Entered:
    """One thing that was entered."""

    kind: Literal["text", "interrupt", "end"]
    text: str = ""
    """For an interrupt: what stood on the line until then, as far as that is known."""


class Reader(Protocol):
    """Reads from a person, or from a pipe."""

    async def read(self) -> Entered:
        """The next message, of one line or several."""
        ...

    async def ask(self, question: str) -> str:
        """One line, in answer to a question; empty where nobody answers."""
        ...

    async def aside(self, say: Callable[[], None]) -> None:
        """Say something while a line is being edited, above it."""
        ...

    def remember(self, texts: list[str]) -> None:
        """What was sent before, oldest first, for the arrow keys."""
        ...


def carries_on(line: str) -> bool:
    """Whether a line ends with a backslash that asks for another one; two of them are themselves."""
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def quoted(text: str) -> bool:
    """Whether the text begins a block of triple quotes that is not closed yet."""
    body = text.lstrip()
    return body.startswith(QUOTES) and not body[3:].rstrip().endswith(QUOTES)


def unquoted(text: str) -> str:
    """The text without triple quotes around it."""
    body = text.strip()
    if body.startswith(QUOTES) and body[3:].endswith(QUOTES):
        return body[3:-3].strip("\n")
    return text


class Draft:
    """Lines until they are a message."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._block = False

    @property
    def empty(self) -> bool:
        """Whether nothing came yet."""
        return not self._lines

    @property
    def text(self) -> str:
        """The message so far."""
        return unquoted("\n".join(self._lines))

    def add(self, line: str) -> bool:
        """Take a line; whether the message is whole now."""
        if not self._lines:
            self._block = line.lstrip().startswith(QUOTES)
        if self._block:
            self._lines.append(line)
            return not quoted("\n".join(self._lines))
        if carries_on(line):
            self._lines.append(line[:-1])
            return False
        self._lines.append(line)
        return True
