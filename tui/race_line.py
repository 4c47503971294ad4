"""The line that a race is asked for by: what is varied, and how. Pure."""

from __future__ import annotations

import msgspec

from engine.api import EngineError, fault, variations
from tui.format import plural, seconds
from tui.text import clean_name

EXAMPLES = (
    ("method=lora,dora seeds=2", "two methods, two seeds each"),
    ("r=8,16,32 lr=1e-4..4e-4/3", "three ranks at three rates, nine runs"),
    ("method=lora,pissa keep=1", "keep=1 stops nobody; 0.5 stops half"),
    ("r=4..64/5 queue", "queue: one after another"),
)


class Asked(msgspec.Struct, frozen=True):
    """A line, read."""

    expression: str
    count: int
    turns: bool = True
    keep: float = 0.5
    turn: int = 0


def read(line: str) -> Asked:
    """The words `queue`, `keep=S` and `turns=N` say how, the others what. Raises `sweep_wrong`."""
    varied: list[str] = []
    how: dict[str, str] = {}
    for word in line.split():
        key, _, value = word.partition("=")
        if key in ("queue", "keep", "turns"):
            how[key] = value
        else:
            varied.append(word)
    expression = " ".join(varied)
    count = len(variations(expression))
    if count < 2:
        raise fault("sweep_wrong", "This is one run, and a race takes two", remedy="Add a value or seeds=2")
    keep, turn = _number(how, "keep", 0.5), _number(how, "turns", 0)
    if not 0 < keep <= 1:
        raise fault("sweep_wrong", "keep is a share of the settings", remedy="Say 0 < keep <= 1")
    return Asked(expression, count, "queue" not in how, keep, int(turn))


def told(line: str, one_s: float | None) -> tuple[str, bool]:
    """(how many runs this is and how long they take, or what is wrong with it; whether it can start).

    `one_s`: seconds of a single run; None where that is unknown.
    """
    if not line.strip():
        return "", False
    try:
        asked = read(line)
    except EngineError as error:
        return clean_name(error.info.sentence()), False
    words = plural(asked.count, "run")
    if one_s is not None:
        most = "about" if asked.keep == 1 or not asked.turns else "at most about"
        words += f" · {most} {seconds(one_s * asked.count)}"
    if not asked.turns:
        return f"{words} · one after another", True
    stops = "nobody is stopped" if asked.keep == 1 else "losers stop early"
    return f"{words} · in turns, {stops}", True


def _number(how: dict[str, str], key: str, usual: float) -> float:
    try:
        return float(how.get(key, usual))
    except ValueError:
        raise fault("sweep_wrong", f"{key} is no number", remedy=f"Write {key}={usual:g}") from None
