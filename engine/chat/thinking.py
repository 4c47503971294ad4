"""Splits a reply into thinking and answer while it is decoded, and what else belongs to thinking mode."""

from __future__ import annotations

import re

from engine.protocol.specs import Part

TAGS: tuple[tuple[str, str], ...] = (
    ("<think>", "</think>"),
    ("<thought>", "</thought>"),
    ("<thinking>", "</thinking>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
)
"""Opening and closing tags of the model families that think."""

EARLY_STOP = (
    "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking "
    "directly now.\n</think>\n\n"
)
"""Fed to a model whose thinking budget is spent. Source: Qwen3's quickstart, "Thinking Budget"."""

_SWITCH = re.compile(r"(?<!\S)/(no_think|think)(?=[.,;:!?)]*(?:\s|$))")


def soft_switch(text: str) -> bool | None:
    """What the last `/think` or `/no_think` (a word of its own) in a text asks for; None without one."""
    words = _SWITCH.findall(text)
    return words[-1] == "think" if words else None


def prompt_opens_thinking(prompt: str) -> bool:
    """Whether the prompt ends inside thinking: an opening tag with nothing but white space behind it.

    A tag further back may be a user's words about tags, and says nothing about how the reply starts.
    """
    return prompt.rstrip().endswith(tuple(opening for opening, _ in TAGS))


class ThinkParser:
    """Labels decoded text as thinking or answer. The tags are dropped, every other character is kept.

    With `open_ids` or `close_ids` tags are found by token id (any of them), otherwise as text out of TAGS,
    over any number of feeds. `started`: the prompt has opened thinking already. A closing tag that nothing
    opened is dropped and what follows is the answer; what came before was sent as answer and stays so.
    After the first closing tag, tags are plain text, but for special tokens: those come with an empty text.
    """

    def __init__(self, open_ids: tuple[int, ...], close_ids: tuple[int, ...], started: bool) -> None:
        self._open_ids = frozenset(open_ids)
        self._close_ids = frozenset(close_ids)
        self._by_id = bool(open_ids or close_ids)
        self._part: Part = "thinking" if started else "answer"
        self._closed = False
        self._blank = True
        self._held = ""
        self._closing = tuple(closing for _, closing in TAGS)

    @property
    def part(self) -> Part:
        """What the next character belongs to."""
        return self._part

    def feed(self, token_id: int, text: str) -> list[tuple[Part, str]]:
        """The next token and the text it completed (may be empty). What is ready to show, in order."""
        if not self._by_id:
            return self._feed_text(text)
        if token_id in self._open_ids:
            return self._tag(text, "thinking")
        if token_id in self._close_ids:
            return self._tag(text, "answer")
        return [(self._part, text)] if text else []

    def flush(self) -> list[tuple[Part, str]]:
        """What was held back as a possible tag; call once, at the end."""
        held, self._held = self._held, ""
        return [(self._part, held)] if held else []

    def _tag(self, text: str, to: Part) -> list[tuple[Part, str]]:
        """A tag's token: its text is dropped, what the decoder had kept from earlier tokens is not."""
        if self._closed and text:
            return [(self._part, text)]
        before, after = _around(text, 0 if to == "thinking" else 1)
        pieces: list[tuple[Part, str]] = [(self._part, before), (to, after)]
        self._part = to
        self._closed = self._closed or to == "answer"
        return [piece for piece in pieces if piece[1]]

    def _feed_text(self, text: str) -> list[tuple[Part, str]]:
        if self._closed:
            return [(self._part, text)] if text else []
        self._held += text
        pieces: list[tuple[Part, str]] = []
        while not self._closed and (found := self._next_tag()):
            place, tag = found
            self._emit(pieces, self._held[:place])
            self._held = self._held[place + len(tag) :]
            self._move(tag)
        keep = 0 if self._closed else _partial(self._held, self._tags())
        ready = len(self._held) - keep
        self._emit(pieces, self._held[:ready])
        self._held = self._held[ready:]
        return pieces

    def _move(self, tag: str) -> None:
        for opening, closing in TAGS:
            if tag == opening:
                self._part = "thinking"
                self._closing = (closing,)
                self._blank = False
                return
        self._part = "answer"
        self._closed = True

    def _emit(self, pieces: list[tuple[Part, str]], text: str) -> None:
        if text:
            self._blank = self._blank and text.isspace()
            pieces.append((self._part, text))

    def _tags(self) -> tuple[str, ...]:
        """The tags that mean something now."""
        # Some models repeat the opening tag that their prompt has set already.
        may_open = self._part == "answer" or self._blank
        return self._closing + (tuple(opening for opening, _ in TAGS) if may_open else ())

    def _next_tag(self) -> tuple[int, str] | None:
        tags = self._tags()
        places = [(place, tag) for tag in tags if (place := self._held.find(tag)) >= 0]
        if not places:
            return None
        place, tag = min(places)
        if self._part == "thinking" and tag not in self._closing and self._held[:place].strip():
            # The repeated opening tag counts only at the very start; later it is a word of the thoughts.
            closings = [pair for pair in places if pair[1] in self._closing]
            return min(closings) if closings else None
        return place, tag


def _around(text: str, side: int) -> tuple[str, str]:
    """What stands before and after the tag in the text of the tag's token."""
    for pair in TAGS:
        before, tag, after = text.partition(pair[side])
        if tag:
            return before, after
    return text, ""


def _partial(text: str, tags: tuple[str, ...]) -> int:
    """Length of the longest end of the text that may be the beginning of a tag."""
    longest = min(len(text), max(map(len, tags)) - 1)
    for length in range(longest, 0, -1):
        end = text[-length:]
        if any(tag.startswith(end) for tag in tags):
            return length
    return 0
