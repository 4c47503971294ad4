"""Pairs that lack a question or an answer when the editor is left: kept for the next time, by dataset."""

from __future__ import annotations

import msgspec

from engine.api import EngineError, commands
from tui import remembered

_KEY = "pairs"
MOST = 200
"""Pairs of a dataset that are kept."""
_Kept = dict[str, tuple[commands.QAPair, ...]]


def keep(dataset: str, pairs: tuple[commands.QAPair, ...]) -> None:
    """In place of what was kept; where that fails, they are lost and nothing else."""
    kept = _read()
    if pairs == kept.get(dataset, ()):
        return
    kept.pop(dataset, None)
    if pairs:
        kept[dataset] = pairs[:MOST]
    try:
        remembered.keep(_KEY, msgspec.json.encode(kept).decode())
    except EngineError:
        pass


def recall(dataset: str) -> tuple[commands.QAPair, ...]:
    """Those that were begun; none where none were."""
    return _read().get(dataset, ())


def _read() -> _Kept:
    try:
        return msgspec.json.decode(remembered.recall(_KEY) or "{}", type=_Kept)
    except (msgspec.MsgspecError, ValueError):
        return {}
