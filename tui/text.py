"""The choke point for untrusted text: nothing reaches the terminal that could command it."""

from __future__ import annotations

import re

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

# C0 but tab and newline, DEL, C1; bidi embeddings, overrides and isolates.
_BAD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_BAD_NAME = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")


def clean(text: str) -> str:
    """Text for display: control characters and bidi overrides are dropped, the rest is as it was."""
    if text.isascii() and text.isprintable():
        return text
    return _BAD.sub("", text)


def clean_name(text: str) -> str:
    """A name on one line (file, model, chat title): zero-width characters and line ends go too."""
    if text.isascii() and text.isprintable():
        return text
    return _BAD_NAME.sub("", " ".join(text.split()))


class Sanitise(LineFilter):
    """The last line: cleans every segment that is painted, whoever made it."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments without what `clean` drops; Textual's own control segments pass."""
        return [
            segment
            if segment.control or not _BAD.search(segment.text)
            else Segment(_BAD.sub("", segment.text), segment.style)
            for segment in segments
        ]
