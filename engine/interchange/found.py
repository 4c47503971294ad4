"""What a reader hands out: chats, and what it left out and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from engine.protocol.specs import ChatInfo, Message


@dataclass(frozen=True)
class Found:
    """One chat. Every message comes after its parent; ids are those of the file, or made up."""

    info: ChatInfo
    messages: tuple[Message, ...]
    place: str = ""
    """Where it stood, as a person would look for it: `chat 17`, `line 3`."""


@dataclass(frozen=True)
class Skipped:
    """Something that could not be taken."""

    place: str
    why: str


class Unfit(Exception):
    """This piece cannot be read as what it looks like; the text is the reason."""


@dataclass
class Tally:
    """What an import took and what it left."""

    chats: int = 0
    messages: int = 0
    skipped: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    places: dict[str, str] = field(default_factory=dict)
    """The first place of each reason."""
    ids: list[str] = field(default_factory=list)
    """Of the chats as they are stored now."""

    def skip(self, one: Skipped) -> None:
        """Count it under its reason."""
        self.skipped += 1
        self.reasons[one.why] += 1
        self.places.setdefault(one.why, one.place)

    def lines(self) -> list[str]:
        """`3 × not a chat (first: line 7)`, the most frequent first."""
        return [f"{count} × {why} (first: {self.places[why]})" for why, count in self.reasons.most_common()]
