"""The filter over runs: `tag:legal eval<2 method:dora -state:failed or name~old` to a predicate. Pure.

tag:legal       has the tag; of a text: is it (upper and lower case alike); of a number: equals it
name~legal      has it somewhere in it
eval<2          < <= > >= = != with a number: 1e-4, 20min, 6.9G, 12k
legal           a bare word: somewhere in the name, the tags or the note
-state:failed   not; a space is AND, `or` begins another alternative; "two words" belong together
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import NamedTuple

from engine.api import runs
from tui.run_values import METHODS, known, short_data, value

Test = Callable[[runs.RunInfo], bool]
_WORD = re.compile(r'(?:[^\s"]|"[^"]*")+|"')
_TERM = re.compile(r"([A-Za-z_]\w*)(<=|>=|!=|[<>=:~])(.*)", re.DOTALL)
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-z%]*)")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    ":": operator.eq,
}
_BYTES = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SECONDS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_COUNTS = {"k": 1000, "m": 1_000_000, "g": 1_000_000_000, "%": 0.01}


class FilterFault(ValueError):
    """A filter that says nothing; its text is a sentence for the person."""


class Filter(NamedTuple):
    """What is left of a filter once it was read."""

    test: Test
    fault: str = ""
    """What is wrong with it, as one sentence; its test lets every run through then."""

    def keep(self, found: list[runs.RunInfo]) -> list[runs.RunInfo]:
        """The runs that pass, in their order."""
        return [run for run in found if self.test(run)]


def parse(words: str) -> Filter:
    """Read a filter; never raises. An empty one lets every run through."""
    try:
        return Filter(_either(words))
    except FilterFault as fault:
        return Filter(lambda run: True, str(fault))


def _either(words: str) -> Test:
    """Alternatives, each of terms that all hold."""
    alternatives: list[list[Test]] = [[]]
    found = _WORD.findall(words)
    for at, word in enumerate(found):
        if word == '"':
            raise FilterFault("A quotation mark is not closed.")
        if word.lower() == "or":
            if not alternatives[-1] or at == len(found) - 1:
                raise FilterFault("`or` stands between two terms.")
            alternatives.append([])
        else:
            alternatives[-1].append(_term(word))
    if alternatives == [[]]:
        return lambda run: True
    return lambda run: any(all(test(run) for test in tests) for tests in alternatives)


def _term(word: str) -> Test:
    if word.startswith("-") and len(word) > 1:
        inner = _term(word[1:])
        return lambda run: not inner(run)
    match = _TERM.fullmatch(word)
    if match is None:
        return _somewhere(word.replace('"', ""))
    key, sign, wanted = known(match[1]), match[2], match[3].replace('"', "")
    if not key:
        raise FilterFault(f"There is no `{match[1]}` to filter by.")
    if not wanted:
        raise FilterFault(f"`{match[1]}{sign}` needs a value after it.")
    return _test(key, sign, wanted, match[1])


def _somewhere(word: str) -> Test:
    """In the name, the tags or the note."""
    wanted = word.casefold()

    def test(run: runs.RunInfo) -> bool:
        tags = " ".join((*run.tags, *run.spec.tags))
        return any(wanted in text.casefold() for text in (run.name, run.id, tags, run.note))

    return test


def _test(key: str, sign: str, wanted: str, typed: str) -> Test:
    if sign == "~":
        return lambda run: wanted.casefold() in _text(value(run, key))
    if sign in ("<", "<=", ">", ">="):
        number = _number(key, wanted)
        if number is None:
            raise FilterFault(f"`{typed}{sign}{wanted}` needs a number, such as {typed}{sign}2.")
        return lambda run: _compared(value(run, key), _COMPARE[sign], number)
    if sign == "!=":
        return lambda run: not _is(key, value(run, key), wanted)
    return lambda run: _is(key, value(run, key), wanted)


def _is(key: str, found: object, wanted: str) -> bool:
    """Whether a value is the one that was typed; of tags: whether it is among them."""
    low = wanted.casefold()
    if isinstance(found, tuple):
        return any(low == each.casefold() for each in found)
    if isinstance(found, str):
        text, file = found.casefold(), short_data(found.casefold())
        names = {text, file, file.rpartition(".")[0], METHODS.get(found, found).casefold()}
        return low in names | set(text.split())
    number = _number(key, wanted)
    return number is not None and isinstance(found, int | float) and abs(found - number) <= 1e-9 * abs(number)


def _compared(found: object, sign: Callable[[float, float], bool], number: float) -> bool:
    return isinstance(found, int | float) and sign(float(found), number)


def _text(found: object) -> str:
    if isinstance(found, tuple):
        return " ".join(map(str, found)).casefold()
    return "" if found is None else str(found).casefold()


def _number(key: str, word: str) -> float | None:
    """`1e-4`, `6.9G` of bytes, `20min` of a time, `12k` of tokens; None where it is none."""
    match = _NUMBER.fullmatch(word)
    if match is None:
        return None
    units = _BYTES if key in ("peak", "size") else _SECONDS if key == "time" else _COUNTS
    unit = match[2].lower()
    if key in ("peak", "size"):
        unit = unit.removesuffix("ib").removesuffix("b") or ("b" if unit == "b" else "")
    if unit and unit not in units:
        return None
    return float(match[1]) * (units[unit] if unit else 1)
