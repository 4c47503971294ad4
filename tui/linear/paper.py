"""Where the linear chat writes: answers on stdout, announcements where a person reads them."""

from __future__ import annotations

import shutil
from typing import TextIO

from tui.linear.wrap import Wrap
from tui.text import clean, clean_name

LEAST_WIDTH = 20
ENDLESS = 1_000_000
"""Columns of what no terminal shows."""


class Paper:
    """Lines and growing texts, cleaned where a terminal reads them. Never moves the cursor up."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self.out = out
        self.aside = out if out.isatty() else err
        """Announcements and prompts go here."""
        self._growing: TextIO | None = None
        self._wrap: Wrap | None = None
        self._ended = True

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        return max(LEAST_WIDTH, shutil.get_terminal_size((80, 24)).columns)

    def say(self, sentence: str) -> None:
        """One announcement."""
        self.show(clean_name(sentence))

    def show(self, text: str) -> None:
        """A text of several lines, as an announcement."""
        self.end()
        wrap = self._new_wrap(self.aside)
        self.aside.write(wrap.feed(clean(text).rstrip("\n") + "\n"))
        self.aside.flush()

    def prompt(self, words: str) -> None:
        """What stands before the line that is typed; nothing where nobody sits."""
        self.end()
        if self.aside.isatty():
            self.aside.write(words)
            self.aside.flush()

    def grow(self, text: str, *, aside: bool = False, indent: str = "") -> None:
        """More of a text: whole words in lines of the terminal's width; in a pipe exactly as decoded."""
        stream = self.aside if aside else self.out
        if self._growing is None:
            self._growing, self._ended = stream, True
            self._wrap = self._new_wrap(stream, indent) if aside or stream.isatty() else None
        if self._wrap is not None:
            text = self._wrap.feed(clean(text))
        self._write(text)

    def end(self) -> None:
        """End the line of a text that grew."""
        if self._growing is None:
            return
        if self._wrap is not None:
            self._write(self._wrap.finish())
        if not self._ended:
            self._write("\n")
        self._growing = self._wrap = None

    def _write(self, text: str) -> None:
        if text and self._growing is not None:
            self._growing.write(text)
            self._growing.flush()
            self._ended = text.endswith("\n")

    def _new_wrap(self, stream: TextIO, indent: str = "") -> Wrap:
        return Wrap(self.width - 1 if stream.isatty() else ENDLESS, indent)
