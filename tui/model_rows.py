"""The models screen's columns: what each shows, how wide it is, how it sorts, which leave first. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.api import specs
from tui.fit import DTYPES, Fit, fit
from tui.format import parameters, size, tokens
from tui.state import EngineState

THINKING = {"always": "yes", "switchable": "switch", "never": "no"}
NAME = 16
"""Cells of the name's column at least."""
GAP = 2


@dataclass(frozen=True)
class Row:
    """One model with what is reckoned for it."""

    model: specs.ModelInfo
    fit: Fit
    adapters: int


@dataclass(frozen=True)
class Column:
    """One column beside the name."""

    id: str
    title: str
    width: int
    text: Callable[[Row], str]
    key: Callable[[Row], Any]
    keep: int
    """Columns with the smallest number leave first where it is narrow."""
    right: bool = True


NAME_KEY: Callable[[Row], Any] = lambda row: row.model.name.lower()  # noqa: E731
COLUMNS = (
    Column("family", "family", 8, lambda r: r.model.family or "–", lambda r: r.model.family, 3, right=False),
    Column("params", "params", 6, lambda r: parameters(r.model.parameters), lambda r: r.model.parameters, 8),
    Column("disk", "on disk", 7, lambda r: _size(r.model.bytes_on_disk), lambda r: r.model.bytes_on_disk, 7),
    Column(
        "context",
        "context",
        7,
        lambda r: tokens(r.model.context) if r.model.context else "–",
        lambda r: r.model.context,
        6,
    ),
    Column(
        "dtype",
        "dtype",
        5,
        lambda r: DTYPES.get(r.model.dtype, r.model.dtype[:5]) or "–",
        lambda r: r.model.dtype,
        2,
    ),
    Column(
        "thinking",
        "thinking",
        8,
        lambda r: "–" if r.model.support == "unsupported" else THINKING[r.model.thinking],
        lambda r: r.model.thinking,
        4,
    ),
    Column(
        "adapters", "adapters", 8, lambda r: str(r.adapters) if r.adapters else "–", lambda r: r.adapters, 5
    ),
    Column("needs", "needs", 6, lambda r: _size(r.fit.need), lambda r: r.fit.need, 10),
    Column("fits", "fits", 7, lambda r: r.fit.mark, lambda r: r.fit.verdict, 9, right=False),
    Column(
        "support",
        "support",
        8,
        lambda r: "no" if r.model.support == "unsupported" else r.model.support,
        lambda r: r.model.support,
        1,
        right=False,
    ),
)
SORTS = ("name", "params", "disk", "context", "needs")
"""What `s` goes round; numbers begin with the largest."""
_KEYS = {"name": NAME_KEY} | {column.id: column.key for column in COLUMNS}


def rows(engine: EngineState, words: str, sort: str, *, turned: bool) -> list[Row]:
    """The models that hold every word, sorted; those that cannot be loaded stand last in any order."""
    wanted = words.lower().split()
    shown = [
        Row(model, fit(model, engine), len(engine.fitting(model.id)))
        for model in engine.models.values()
        if all(word in _haystack(model) for word in wanted)
    ]
    shown.sort(key=NAME_KEY)
    shown.sort(key=_KEYS[sort], reverse=(sort != "name") != turned)
    return sorted(shown, key=lambda row: row.model.support == "unsupported")


def columns_for(width: int) -> list[Column]:
    """The columns that fit beside a name of at least NAME cells, in their order."""
    room = width - NAME - 4
    kept: set[str] = set()
    for column in sorted(COLUMNS, key=lambda column: -column.keep):
        room -= column.width + GAP
        if room < 0:
            break
        kept.add(column.id)
    return [column for column in COLUMNS if column.id in kept]


def _haystack(model: specs.ModelInfo) -> str:
    return f"{model.name} {model.id} {model.family} {model.support} {model.state}".lower()


def _size(count: int) -> str:
    return size(count) if count else "–"
