"""Names, greetings and everything that the demo model cannot do, in many languages."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

HONEST = (
    "I am Qwill's tiny demo model: I can only do small sums and answer questions about Qwill; "
    "press F2 to get a real model."
)
TOO_HARD = (
    "I only do sums and differences of up to three digits and products of two-digit numbers; "
    "press F2 to get a real model."
)
HELLO = "Hello! I am Qwill's tiny demo model: ask me a small sum or something about Qwill."
THANKS = "You are welcome!"
BYE = "Goodbye!"
NO_NAME = "You have not told me your name yet."

# Scripts a model may be written to in; random words of them teach it that the unknown is unknown.
_SCRIPTS = ((0x61, 0x7A), (0xE0, 0xFF), (0x3B1, 0x3C9), (0x430, 0x44F), (0x5D0, 0x5EA), (0x627, 0x64A),
            (0x905, 0x939), (0xE01, 0xE2E), (0x3041, 0x3093), (0x30A1, 0x30F3), (0x4E00, 0x9FA0),
            (0xAC00, 0xD7A3), (0x10D0, 0x10F0), (0x561, 0x586), (0x1F600, 0x1F64F))  # fmt: skip
_ONSETS = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r",
           "s", "t", "v", "z", "sh", "br", "kr", "th", "j", "h")  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ou", "ee")
_CODAS = ("", "", "", "n", "r", "l", "s", "x", "k", "m")
_PRINTABLE = "abcdefghijklmnopqrstuvwxyz    {}()[];:=<>/.,'\"_-$#@\n"


@cache
def lines() -> dict[str, Any]:
    """The tables of talk.toml: lists of phrasings by situation, and `language` tables."""
    tables: dict[str, Any] = tomllib.loads(Path(__file__).with_name("talk.toml").read_text("utf-8"))
    return tables


def pick(random: Random, table: str) -> str:
    """One line of a table of talk.toml."""
    line: str = random.choice(lines()[table])
    return line


def made_up_name(random: Random) -> str:
    """A name that nobody has, of one to three syllables, such as `Zorla`."""
    syllables = random.choices((1, 2, 3), (1, 6, 3))[0]
    parts = [random.choice(part) for _ in range(syllables) for part in (_ONSETS, _VOWELS, _CODAS)]
    return "".join(parts).capitalize()


def name(random: Random) -> str:
    """Mostly a made-up name, so that recalling it has to be copying it."""
    return pick(random, "names") if random.random() < 0.25 else made_up_name(random)


def too_hard(random: Random) -> str:
    """A calculation outside what the model was taught."""
    return pick(random, "too_hard").format(
        s=random.randint(2, 30),
        a=random.randint(31, 999),
        b=random.randint(1000, 99999),
        c=random.randint(1000, 99999),
        d=random.randint(100, 999),
    )


def off_topic(random: Random) -> str:
    """Something that is neither a sum nor about Qwill, in one of some thirty languages."""
    roll = random.random()
    if roll < 0.14:
        return _gibberish(random)
    if roll < 0.56:
        language = random.choice(lines()["language"])
        return _filled(random, random.choice(language["frames"]), language["topics"])
    if roll < 0.68:
        return _varied(random, pick(random, "plain"))
    topics = lines()["things"]
    return _varied(random, _filled(random, pick(random, "frames"), topics))


def _filled(random: Random, frame: str, topics: list[str]) -> str:
    return frame.format(*(_topic(random, topics) for _ in range(frame.count("{}"))))


def _topic(random: Random, topics: list[str]) -> str:
    """A known topic, or a made-up word: new nouns must not look like something known."""
    return made_up_name(random).lower() if random.random() < 0.15 else random.choice(topics)


def _varied(random: Random, text: str) -> str:
    """As people type: at times without capitals or the final mark."""
    roll = random.random()
    if roll < 0.12:
        return text.lower()
    return text.rstrip(".?") if roll < 0.2 else text


def _gibberish(random: Random) -> str:
    if random.random() < 0.25:
        return "".join(random.choices(_PRINTABLE, k=random.randint(5, 60))).strip() or "?"
    low, high = random.choice(_SCRIPTS)
    words = [_random_word(random, low, high) for _ in range(random.randint(1, 5))]
    return " ".join(words) + random.choice(("", "?", ".", "!"))


def _random_word(random: Random, low: int, high: int) -> str:
    return "".join(chr(random.randint(low, high)) for _ in range(random.randint(1, 7)))
