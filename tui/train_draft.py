"""The train form as it was left, kept for the next time it is opened: by field what it said, and the spec."""

from __future__ import annotations

import msgspec

from engine.api import EngineError, runs
from tui import remembered

_KEY = "train"


class Draft(msgspec.Struct, frozen=True):
    """`said` holds what cannot be read into a spec too."""

    spec: runs.TrainSpec
    said: dict[str, str]


def keep(draft: Draft) -> None:
    """Keep it; where that fails, the form is lost and nothing else."""
    _put(msgspec.json.encode(draft).decode())


def recall() -> Draft | None:
    """The form that was left; None where none was, or where it cannot be read any more."""
    try:
        return msgspec.json.decode(remembered.recall(_KEY), type=Draft)
    except (msgspec.MsgspecError, ValueError):
        return None


def forget() -> None:
    """The form was used."""
    if remembered.recall(_KEY):
        _put("")


def _put(text: str) -> None:
    try:
        remembered.keep(_KEY, text)
    except EngineError:
        pass
