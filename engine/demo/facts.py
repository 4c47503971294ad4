"""What the demo model knows about Qwill, and the ways people ask for it."""

from __future__ import annotations

import tomllib
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_KEY_FRAMES = (
    "What does {} do?", "what does {} do", "What is {} for?", "What happens when I press {}?",
    "What is {}?", "Explain {}.", "{}?", "What do I use {} for?", "What does the key {} do?",
    "When do I need {}?", "Tell me what {} does.", "Why would I press {}?", "what's {}",
)  # fmt: skip
_GOAL_FRAMES = (
    "How do I {}?", "how do i {}", "How can I {}?", "Which key do I press to {}?", "How to {}?",
    "how to {}", "What key do I need to {}?", "I want to {}.", "What do I press to {}?",
    "Is there a key to {}?", "Can I {}?", "How do you {}?", "Tell me how to {}.", "I'd like to {}.",
    "What is the shortcut to {}?", "how can i {} here", "What should I do to {}?", "{}",
    "Where can I {}?", "Please tell me how I can {}.", "I need to {}.", "How does one {}?",
)  # fmt: skip
_HELD_OUT_ONE_IN = 12


@dataclass(frozen=True)
class Fact:
    """One answer with its one-line thought and every phrasing that asks for it."""

    topic: str
    answer: str
    asks: tuple[str, ...]
    key_asks: tuple[str, ...] = ()
    """Those of the asks that name a key."""

    @property
    def thought(self) -> str:
        """What the model thinks first: it names the topic that it recognised."""
        return f"This is about Qwill: {self.topic}."

    @property
    def trained_asks(self) -> tuple[str, ...]:
        """The phrasings the model is trained on."""
        return tuple(ask for ask in self.asks if not held_out(ask))

    @property
    def trained_key_asks(self) -> tuple[str, ...]:
        """Those of the trained phrasings that name a key."""
        return tuple(ask for ask in self.key_asks if not held_out(ask))

    @property
    def held_out_asks(self) -> tuple[str, ...]:
        """The phrasings it never sees."""
        return tuple(ask for ask in self.asks if held_out(ask))


def held_out(ask: str) -> bool:
    """Whether this phrasing is kept for the exam."""
    return zlib.crc32(ask.lower().encode()) % _HELD_OUT_ONE_IN == 0


@cache
def facts() -> tuple[Fact, ...]:
    """Every fact, in the order of facts.toml: keys first."""
    tables = tomllib.loads(Path(__file__).with_name("facts.toml").read_text("utf-8"))
    keys = tuple(_key_fact(row) for row in tables["key"])
    return keys + tuple(Fact(row["topic"], row["answer"], tuple(row["asks"])) for row in tables["fact"])


def _key_fact(row: dict[str, Any]) -> Fact:
    by_key = tuple(frame.format(key) for key in row["keys"] for frame in _KEY_FRAMES)
    by_goal = tuple(frame.format(goal) for goal in row["goals"] for frame in _GOAL_FRAMES)
    return Fact(row["topic"], row["answer"], tuple(dict.fromkeys(by_key + by_goal)), by_key)
