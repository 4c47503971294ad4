"""Breaks a growing text between words; code and tables stay as they are. Pure."""

from __future__ import annotations

import re

from rich.cells import cell_len

_WIDE = "\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60\U00020000-\U0003fffd"
_TOKEN = re.compile(rf"\n|[ \t]+|[{_WIDE}]|[^\s{_WIDE}]+|\s")
"""A line's end, a gap, a character that a line may break after, or a word."""
_FENCE = re.compile(r"(`{3,}|~{3,})")
PATIENCE = 60
"""Characters after which a word is written although more of it may come."""


class Wrap:
    """Fed with pieces of a text of any size; a word is held back until it is whole."""

    def __init__(self, width: int, indent: str = "") -> None:
        self._width = width
        self._indent = indent
        self._held = ""
        self._gap = ""
        self._lead = ""
        self._column = 0
        self._fresh = True
        """Whether nothing but gaps stands on the line."""
        self._fence = ""
        """The mark that closes the code block one is in."""
        self._plain = False
        """Whether this line stays as it is."""

    def feed(self, text: str) -> str:
        """What to write for more of the text."""
        tokens: list[str] = _TOKEN.findall(self._held + text)
        self._held = ""
        if tokens and not tokens[-1].isspace() and len(tokens[-1]) < PATIENCE:
            self._held = tokens.pop()
        return "".join(map(self._place, tokens))

    def finish(self) -> str:
        """The last word."""
        held, self._held = self._held, ""
        return self._place(held) if held else ""

    def _place(self, token: str) -> str:
        if token == "\n":
            return self._break()
        if token.isspace():
            self._gap += token
            return ""
        lead = ""
        if self._fresh:
            lead = self._begin(token)
        elif not self._plain and self._column + len(self._gap) + cell_len(token) > self._width:
            lead, self._gap = "\n" + self._indent + self._lead, ""
            self._column = len(self._indent + self._lead)
        said = lead + self._gap + token
        self._column += len(self._gap) + cell_len(token)
        self._gap = ""
        return said

    def _begin(self, word: str) -> str:
        """The first word of a line decides how the line is treated."""
        self._fresh = False
        self._lead, self._gap = self._gap, ""
        fence = _FENCE.match(word)
        self._plain = bool(self._fence or fence) or word.startswith("|") or len(self._lead.expandtabs(4)) >= 4
        if fence and not self._fence:
            self._fence = fence[1]
        elif self._fence and word.startswith(self._fence):
            self._fence = ""
        if not self._plain and len(self._lead) > self._width // 2:
            self._lead = ""
        self._column = len(self._indent + self._lead)
        return self._indent + self._lead

    def _break(self) -> str:
        """The line's end; spaces before it are kept where the text stays as it is."""
        gap = self._gap if self._plain else ""
        self._fresh, self._plain, self._gap, self._column = True, False, "", 0
        return gap + "\n"
