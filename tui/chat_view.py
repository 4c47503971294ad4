"""What the screen finds again in a chat: which thoughts are open, and where one was reading. Pure JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from tui.widgets.thought import Fold

_FOLDS = ("folded", "peek", "open")
MOST = 500
"""Folds kept of one chat, the newest."""


class Place(NamedTuple):
    """A row of a message at the top of the screen."""

    message: str
    row: int


def write(folds: dict[str, Fold], place: Place | None) -> str:
    """Both as the engine keeps them; empty where nothing was folded and the end is shown."""
    if not folds and place is None:
        return ""
    newest = dict(list(folds.items())[-MOST:])
    scroll = {"message": place.message, "row": place.row} if place is not None else None
    return json.dumps({"folds": newest, "scroll": scroll}, separators=(",", ":"))


def read(view: str) -> tuple[dict[str, Fold], Place | None]:
    """What `write` wrote; nothing where another program or version wrote something else."""
    try:
        told = json.loads(view) if view else {}
    except (ValueError, RecursionError):
        return {}, None
    if not isinstance(told, dict):
        return {}, None
    folds, scroll = told.get("folds"), told.get("scroll")
    known = (
        {str(key): value for key, value in folds.items() if value in _FOLDS}
        if isinstance(folds, dict)
        else {}
    )
    place = None
    if (
        isinstance(scroll, dict)
        and isinstance(scroll.get("message"), str)
        and isinstance(scroll.get("row"), int)
    ):
        place = Place(scroll["message"], scroll["row"])
    return cast("dict[str, Fold]", known), place
