"""Print a reply while it grows: the answer on stdout, the thinking dim on stderr."""

from __future__ import annotations

import os
import sys
from typing import IO

from engine.api import specs

DIM, PLAIN = "\x1b[2m", "\x1b[22m"


class Growing:
    """One part of a reply. Deltas carry their offset, so that a repeated one changes nothing."""

    def __init__(self) -> None:
        self.text = ""

    def add(self, offset: int, text: str) -> str:
        """Take a delta; returns what is new. A gap is left to `finish`."""
        if offset > len(self.text):
            return ""
        new = text[len(self.text) - offset :]
        self.text += new
        return new

    def finish(self, whole: str) -> str:
        """Take the part as it was stored; returns what had not come before."""
        new = whole[len(self.text) :] if whole.startswith(self.text) else ""
        self.text = whole
        return new


class Quiet:
    """Collects a reply and prints nothing."""

    def __init__(self) -> None:
        self.parts: dict[specs.Part, Growing] = {"thinking": Growing(), "answer": Growing()}

    def delta(self, part: specs.Part, offset: int, text: str) -> None:
        """Take more text of a part."""
        self.show(part, self.parts[part].add(offset, text))

    def finish(self, message: specs.Message) -> None:
        """Take the reply as it was stored, and end the lines begun."""
        self.show("thinking", self.parts["thinking"].finish(message.thinking))
        self.show("answer", self.parts["answer"].finish(message.text))
        self.close()

    def show(self, part: specs.Part, text: str) -> None:
        """Nothing, here."""

    def close(self) -> None:
        """Nothing, here."""


class Live(Quiet):
    """Prints each delta as it comes: cleaned where a terminal reads it, exactly as decoded in a pipe."""

    def __init__(self) -> None:
        super().__init__()
        self._open: specs.Part | None = None
        self._last = ""
        self._dim = sys.stderr.isatty() and not os.environ.get("NO_COLOR")

    def show(self, part: specs.Part, text: str) -> None:
        """Write text of a part, after ending the other one's line."""
        stream: IO[str] = sys.stdout if part == "answer" else sys.stderr
        if stream.isatty():
            from tui.text import clean

            text = clean(text)
            if part != self._open:
                text = text.lstrip("\n")
        if not text:
            return
        if part != self._open:
            self.close()
            self._open = part
        if part == "thinking" and self._dim:
            text = f"{DIM}{text}{PLAIN}"
        stream.write(text)
        stream.flush()
        self._last = text.removesuffix(PLAIN)[-1:]

    def close(self) -> None:
        """End the line of the open part; on a terminal a blank line follows the thinking."""
        if self._open is None:
            return
        stream: IO[str] = sys.stdout if self._open == "answer" else sys.stderr
        if self._last != "\n":
            stream.write("\n")
        if self._open == "thinking" and stream.isatty():
            stream.write("\n")
        stream.flush()
        self._open = None


class Thoughts(Live):
    """Prints the thinking alone; the answer is only collected."""

    def show(self, part: specs.Part, text: str) -> None:
        """Write text of the thinking."""
        if part == "thinking":
            super().show(part, text)
